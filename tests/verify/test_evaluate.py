"""In segments or in one piece, a model computes the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxopt.errors import OnnxoptError
from onnxopt.evaluate import Evaluator
from onnxopt.segments import exposing
from tests.verify.planted import chain, evaluator, model_of, tensor, weight

X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2

BRANCH = """
<ir_version: 9, opset_import: ["" : 18]>
g (float[2,3] x, bool flag) => (float[2,3] y)
  <float[1] c = {3}>
{
  a = Relu (x)
  b = Neg (x)
  d = Exp (b)
  e = If (flag) <
    then_branch = t () => (float[2,3] p) { q = Add (a, c) p = Mul (q, d) },
    else_branch = f () => (float[2,3] r) { r = Sub (b, c) }
  >
  y = Abs (e)
}
"""

SEQUENCE = """
<ir_version: 9, opset_import: ["" : 18]>
g (float[2,3] x) => (float[A,3] y, int64 n)
{
  a = Relu (x)
  s = SequenceConstruct (x, a)
  n = SequenceLength (s)
  y = ConcatFromSequence <axis = 0> (s)
}
"""


@st.composite
def graphs(draw: st.DrawFn) -> ir.Model:
    """Draw a graph of elementwise operators on values and weights, with one to three outputs."""
    x = tensor("x", [2, 3])
    values = [x, weight("w", np.full((2, 3), 0.5, np.float32)), weight("b", np.ones(3, np.float32))]
    nodes = []
    for at in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(["Add", "Sub", "Max", "Relu", "Tanh", "Identity"]))
        count = 2 if kind in ("Add", "Sub", "Max") else 1
        inputs = [draw(st.sampled_from(values)) for _ in range(count)]
        out = ir.Value(name=f"v{at}")
        nodes.append(ir.node(kind, inputs, outputs=[out]))
        values.append(out)
    outputs = draw(st.lists(st.sampled_from([n.outputs[0] for n in nodes]), min_size=1, max_size=3))
    unique = list({id(value): value for value in outputs}.values())
    for value in unique:
        value.type = ir.TensorType(ir.DataType.FLOAT)
    return model_of([x], nodes, unique)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(model=graphs(), size=st.integers(1, 8))
def test_segments_compute_what_the_whole_computes(model: ir.Model, size: int) -> None:
    whole = evaluator()(model, {"x": X})
    parts = evaluator(nodes=size)(model, {"x": X})
    assert list(whole) == list(parts)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("flag", [True, False])
def test_bodies_take_values_from_other_segments(size: int, flag: bool) -> None:
    model = ir.from_proto(onnx.parser.parse_model(BRANCH))
    feeds = {"x": X, "flag": np.array(flag)}
    assert np.array_equal(evaluator()(model, feeds)["y"], evaluator(nodes=size)(model, feeds)["y"])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_sequences_pass_between_segments(size: int) -> None:
    model = ir.from_proto(onnx.parser.parse_model(SEQUENCE))
    found = evaluator(nodes=size)(model, {"x": X})
    assert np.array_equal(found["y"], np.concatenate([X, np.maximum(X, 0)]))
    assert found["n"] == 2


def test_half_precision_passes_between_segments() -> None:
    x, a, y = (tensor(name, [2], "BFLOAT16") for name in "xay")
    nodes = [ir.node("Identity", [x], outputs=[a]), ir.node("Identity", [a], outputs=[y])]
    feeds = {"x": np.ones(2, ir.DataType.BFLOAT16.numpy())}
    found = evaluator(nodes=1)(model_of([x], nodes, [y]), feeds)
    assert found["y"].dtype == feeds["x"].dtype


def test_weights_are_held_a_few_at_a_time() -> None:
    model = chain(12)
    feeds = {"x": np.ones((1, 4), np.float32)}
    whole, parts = evaluator()(model, feeds), evaluator(weights=40)(model, feeds)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_one_opening_serves_several_runs() -> None:
    run: Evaluator = evaluator(nodes=5)
    with run.opened(chain(12)) as opened:
        first, second = (opened({"x": np.full((n, 4), 1, np.float32)}) for n in (1, 2))
    assert first["v11"].shape == (1, 4)
    assert second["v11"].shape == (2, 4)


def test_what_nothing_computes_is_an_error() -> None:
    model = chain(4)
    with pytest.raises(OnnxoptError):
        evaluator(nodes=1)(model, {})


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(model=graphs(), seed=st.integers(0, 99))
def test_what_is_watched_is_what_the_whole_computes(model: ir.Model, seed: int) -> None:
    values = [value for node in model.graph for value in node.outputs]
    kept = np.random.default_rng(seed).random(len(values)) < 0.7
    wanted = [value for value, keep in zip(values, kept, strict=True) if keep] or values
    whole = evaluator()(exposing(model, wanted), {"x": X})
    with evaluator(nodes=3).watched(model, wanted) as watch:
        for _ in range(2):
            found = {value.name or "": array for value, array in watch({"x": X})}
            assert found.keys() == whole.keys()
            assert all(np.array_equal(found[name], whole[name]) for name in whole)
