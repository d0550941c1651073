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
from tests.passes.tools import model_of

NET = """
(float[N,M] x) => (float[N,M] y)
{
  n = Neg (x)
  h = Cast <to = 10> (n)
  a = Abs (x)
  y = Sub (n, a)
}
"""

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
    return [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]


def net() -> ir.Model:
    model = model_of(NET)
    shapes.infer(model)
    return model


def said(seen: Range | None) -> str:
    """Write extremes so that they can be compared, NaN like NaN and zero like minus zero."""
    return "empty" if seen is None else f"{seen.low + 0.0} to {seen.high + 0.0}"


def told(given: Sequence[np.ndarray], left: list[int] | None = None) -> list[object]:
    """Return what the runtime tells of every value and sample."""
    found: list[object] = []
    model = net()

    def see(value: ir.Value, seen: Range | None, at: int) -> None:
        found.append((at, value.name, said(seen)))

    stream_extremes(model, values(model), context(given, left), see, "extremes")
    return sorted(found, key=repr)


def looked_at(given: Sequence[np.ndarray]) -> list[object]:
    """Return what the values themselves tell; what was not finite once is said from then on."""
    found: list[object] = []
    endless: dict[ir.Value, Range] = {}
    model = net()

    def look(value: ir.Value, array: np.ndarray, at: int) -> None:
        seen = endless.get(value, extremes(array))
        if seen is not None and not seen.finite and not value.is_graph_input():
            endless[value] = seen
        found.append((at, value.name, said(seen)))

    stream(model, values(model), context(given), look, "values")
    return sorted(found, key=repr)


@hypothesis.settings(max_examples=60)
@hypothesis.given(st.lists(MATRICES, min_size=1, max_size=3))
def test_extremes_are_those_of_the_values(given: list[np.ndarray]) -> None:
    assert told(given) == looked_at(given)


def test_nan_is_found_wherever_it_is() -> None:
    for at in range(0, 1000, 37):
        array = np.linspace(-1, 1, 1000, dtype=np.float32).reshape(1, -1)
        array[0, at] = np.nan
        assert (0, "n", "nan to nan") in told([array]), at


def test_values_stay_inside() -> None:
    array = np.ones((2, 500), np.float32)
    left: list[int] = []
    told([array] * 3, left)
    assert left == [3 * 3 + array.size] * 3  # three numbers of each value, but float16 as it is


def test_what_cannot_be_told_is_looked_at_once() -> None:
    fine, endless = np.ones((1, 8), np.float32), np.full((1, 8), np.inf, np.float32)
    left: list[int] = []
    told([fine, endless, endless, fine], left)
    assert left == [17, 17, 32, 17, 17]


def test_nothing_is_reduced_where_that_was_in_vain() -> None:
    fine, empty = np.ones((1, 8), np.float32), np.ones((0, 8), np.float32)
    left: list[int] = []
    told([fine, empty, fine], left)
    assert left == [17, 9, 0, 32]
    large = np.full((1, 8), 3e38, np.float32)
    left.clear()
    told([large, fine], left)
    assert left == [17, 32, 32]


@pytest.mark.parametrize("opens", [False, True])
def test_a_runtime_may_have_no_such_kernels(opens: bool) -> None:
    array = np.ones((1, 8), np.float32)
    left: list[int] = []
    given = context([array, array], left)

    class Failing(Watched):
        def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
            raise BackendError("no kernel")

    def load(model: ir.Model) -> Session:
        if any(node.op_type == "ReduceSum" for node in model.graph):
            if not opens:
                raise BackendError("no kernel")
            return Failing(given.load(net()), left)
        return given.load(model)

    found: list[object] = []
    model = net()

    def see(value: ir.Value, seen: Range | None, at: int) -> None:
        found.append((at, value.name, said(seen)))

    refusing = dataclasses.replace(given, load=load)
    stream_extremes(model, values(model), refusing, see, "extremes")
    assert sorted(found, key=repr) == looked_at([array, array])
    assert left == [32, 32]
