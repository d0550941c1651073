"""Extremes that the runtime finds are those of the values, whatever these hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue, lossless, shapes
from onnxopt.base import Context
from onnxopt.errors import BackendError
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.sketch import extremes
from onnxopt.quantization.stream import stream, stream_extremes
from onnxopt.samples import Samples
from onnxopt.target import Feeds, Outputs, Session
from tests.passes import weights

NET = """
(float[N,M] x) => (float[N,M] y)
{
  n = Neg (x)
  h = Cast <to = 10> (n)
  a = Abs (x)
  s = ReduceSum <keepdims = 0> (a)
  y = Sub (n, a)
  p = Add (w, s)
  q = Cast <to = 1> (v)
  r = Add (p, q)
}
"""
WEIGHTS: dict[str, np.ndarray] = {"w": np.ones((2, 3), np.float32), "v": np.ones((3,), np.float16)}
REDUCED = 3 * len("nasypqr")
"""Numbers that leave the runtime where reductions do."""
HELD = 2 * 3 + 3
"""Numbers in weights."""


def full(size: int) -> int:
    """Return the numbers of all values for so many in the input."""
    return 4 * size + 16 + HELD


HUGE = st.sampled_from([math.nan, math.inf, -math.inf, 3e38, -3e38, 6e4, 7e4, 1e-40])
NUMBERS = st.one_of(st.floats(-1e3, 1e3, width=32), HUGE)
MATRICES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(0, 3), st.integers(1, 40)),
    elements=NUMBERS,
    fill=st.floats(-4, 4, width=32),
)


class Watched(Session):
    """A session that notes how many numbers leave it, run by run."""

    def __init__(self, session: Session, left: list[int]) -> None:
        self._session, self._left = session, left

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        found = self._session.run(feeds, outputs)
        self._left.append(sum(array.size for array in found.values()))
        return found

    def close(self) -> None:
        self._session.close()


def context(given: Sequence[np.ndarray], left: list[int] | None = None) -> Context:
    backend = catalogue.backend(lossless.STREAM)
    noted: list[int] = [] if left is None else left
    return Context(
        load=lambda model: Watched(backend.open(model), noted),
        samples=Samples.of([{"x": array} for array in given]),
    )


def values(model: ir.Model) -> list[ir.Value]:
    made = (value for node in model.graph for value in node.outputs)
    return [*model.graph.inputs, *made, *model.graph.initializers.values()]


def net(opset: int = 18) -> ir.Model:
    model = weights.model(NET, WEIGHTS, opset=opset)
    shapes.infer(model)
    return model


Told = tuple[str, str, Range | None]


def said(found: Sequence[Told]) -> list[tuple[str, str, str]]:
    """Write extremes to be compared: zero as minus zero, NaN as all that is endless behind it."""
    lines, nan = [], set[str]()
    for at, name, seen in found:
        if seen is not None and (math.isnan(seen.low) or (name in nan and not seen.finite)):
            nan.add(name)
            lines.append((at, name, "NaN"))
        else:
            ends = "empty" if seen is None else f"{seen.low + 0.0} to {seen.high + 0.0}"
            lines.append((at, name, ends))
    return sorted(lines)


def told(
    given: Sequence[np.ndarray], left: list[int] | None = None, opset: int = 18
) -> list[tuple[str, str, str]]:
    """Return what the runtime tells of every value and sample."""
    return _told(net(opset), context(given, left))


def _told(model: ir.Model, context: Context) -> list[tuple[str, str, str]]:
    found: list[Told] = []

    def see(value: ir.Value, seen: Range | None, at: str) -> None:
        found.append((at, value.name or "", seen))

    stream_extremes(model, values(model), context, see, "extremes")
    return said(found)


def looked_at(given: Sequence[np.ndarray], opset: int = 18) -> list[tuple[str, str, str]]:
    """Return what the values themselves tell."""
    found: list[Told] = []
    model = net(opset)

    def look(value: ir.Value, array: np.ndarray, at: str) -> None:
        found.append((at, value.name or "", extremes(array)))

    stream(model, values(model), context(given), look, "values")
    return said(found)


@pytest.mark.parametrize("opset", [13, 18, 21])
@hypothesis.settings(max_examples=30)
@hypothesis.given(given=st.lists(MATRICES, min_size=1, max_size=3))
def test_extremes_are_those_of_the_values(opset: int, given: list[np.ndarray]) -> None:
    assert told(given, opset=opset) == looked_at(given, opset)


def test_nan_is_found_wherever_it_is() -> None:
    for at in range(0, 1000, 37):
        array = np.linspace(-1, 1, 1000, dtype=np.float32).reshape(1, -1)
        array[0, at] = np.nan
        assert ("sample 1", "n", "NaN") in told([array]), at


def test_values_stay_inside() -> None:
    array = np.ones((2, 500), np.float32)
    left: list[int] = []
    told([array] * 3, left)
    assert left == [REDUCED + HELD + array.size] * 3  # float16 leaves as it is


@pytest.mark.parametrize("number", [np.inf, 3e38, -3e38])
def test_what_is_large_is_no_reason_to_look(number: float) -> None:
    left: list[int] = []
    given = [np.full((1, 8), number, np.float32), np.ones((1, 8), np.float32)]
    assert told(given, left) == looked_at(given)
    assert [each for each in left if each > REDUCED + HELD + 8] == []


def test_nan_is_looked_at_once() -> None:
    fine, nan = np.ones((1, 8), np.float32), np.full((1, 8), np.nan, np.float32)
    left: list[int] = []
    told([fine, nan, nan, fine], left)
    reduced = REDUCED + HELD + 8
    looked = 3 * 8 + 1 + 2 * 6  # all but h and q, which are not NaN or not reduced
    assert left == [reduced, reduced, looked, reduced, reduced]


def test_nothing_is_reduced_where_that_was_in_vain() -> None:
    both = np.asarray([[3e38, 3e38, -3e38, -3e38] * 500], np.float32)
    given, left = [both, np.ones((1, 8), np.float32)], list[int]()
    assert told(given, left) == looked_at(given)
    assert len(left) == 3
    assert left[-1] == full(8)


@pytest.mark.parametrize("opens", [False, True])
def test_a_runtime_may_have_no_such_kernels(opens: bool) -> None:
    array = np.ones((1, 8), np.float32)
    left: list[int] = []
    given = context([array, array], left)

    class Failing(Watched):
        def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
            raise BackendError("no kernel")

    def load(model: ir.Model) -> Session:
        if any(node.op_type == "ReduceMax" for node in model.graph):
            if not opens:
                raise BackendError("no kernel")
            return Failing(given.load(net()), left)
        return given.load(model)

    refusing = dataclasses.replace(given, load=load)
    assert _told(net(), refusing) == looked_at([array, array])
    assert left == [full(8)] * 2
