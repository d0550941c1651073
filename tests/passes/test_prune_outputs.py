"""Fewer outputs, and fewer classes of one: what is left is what the model said of them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxopt import shapes
from onnxopt.base import Context
from onnxopt.errors import ModelError, UsageError
from onnxopt.pipeline import Pipeline
from tests.passes import weights
from tests.passes.tools import run

KEPT = [4, 0, 7]

DENSE = """(float[N,6] x) => (float[N,9] y, float[N,9] p) {
  y = Gemm(x, w, b)
  p = Softmax(y)
}"""

PRODUCT = """(float[N,6] x) => (float[N,9] y) {
  m = MatMul(x, w)
  a = Add(b, m)
  y = Sigmoid(a)
}"""

POOLED = """(float[N,6,5,5] x) => (float[N,9] y) {
  c = Conv(x, k, b)
  r = Relu(c)
  g = GlobalAveragePool(r)
  f = Reshape(g, s)
  y = Softmax(f)
}"""


def model(text: str) -> ir.Model:
    held = {
        "w": weights.normal(6, 9),
        "b": weights.normal(9),
        "k": weights.normal(9, 6, 3, 3),
        "s": weights.ints(-1, 9),
        "t": weights.ints(9, 9, 81),
    }
    made = weights.model(text, held)
    shapes.infer(made)
    return made


def feeds(made: ir.Model) -> dict[str, np.ndarray]:
    rank = len(made.graph.inputs[0].shape or ())
    return {"x": np.random.default_rng(0).normal(size=(3, 6, 5, 5)[:rank]).astype(np.float32)}


def pruned(text: str, options: str) -> onnx.ModelProto:
    made = model(text)
    assert Pipeline.parse(f"prune/outputs{{{options}}}, dce").run(made, Context()) > 0
    proto = ir.to_proto(made)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def before(text: str, name: str) -> np.ndarray:
    made = model(text)
    return np.asarray(run(ir.to_proto(made), feeds(made))[name])


@pytest.mark.parametrize("options", ["keep=[y]", "drop=[p]"])
def test_outputs_go_with_what_only_they_need(options: str) -> None:
    proto = pruned(DENSE, options)
    assert [value.name for value in proto.graph.output] == ["y"]
    assert [node.op_type for node in proto.graph.node] == ["Gemm"]
    found = run(proto, feeds(model(DENSE)))["y"]
    np.testing.assert_array_equal(found, before(DENSE, "y"))


@pytest.mark.parametrize("text", [DENSE, PRODUCT])
def test_classes_stay_in_the_order_named(text: str) -> None:
    proto = pruned(text, "keep=[y], of=y, classes=[4, 0, 7]")
    found = run(proto, feeds(model(text)))["y"]
    np.testing.assert_allclose(found, before(text, "y")[:, KEPT], rtol=1e-6)
    assert proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 3


def test_a_softmax_shares_one_among_those_that_stay() -> None:
    proto = pruned(POOLED, "classes=[4, 0, 7]")
    wanted = before(POOLED, "y")[:, KEPT]
    found = run(proto, feeds(model(POOLED)))["y"]
    np.testing.assert_allclose(found, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-5)


CROWDED = """(float[9,6,11,11] x) => (float[9,9,9,9] y, float[9,9,81] z) {
  c = Conv(x, k, b)
  y = Relu(c)
  d = Conv(x, k, b)
  p = Softmax <axis = 1> (d)
  z = Reshape(p, t)
}"""


@pytest.mark.parametrize("output", ["y", "z"])
def test_other_axes_as_long_as_the_classes_stay(output: str) -> None:
    proto = pruned(CROWDED, f"keep=[{output}], classes=[4, 0, 7]")
    sizes = [dim.dim_value for dim in proto.graph.output[0].type.tensor_type.shape.dim]
    assert sizes == ([9, 3, 9, 9] if output == "y" else [9, 3, 81])
    x = {"x": np.random.default_rng(0).normal(size=(9, 6, 11, 11)).astype(np.float32)}
    found, wanted = run(proto, x)[output], run(ir.to_proto(model(CROWDED)), x)[output][:, KEPT]
    wanted = wanted if output == "y" else wanted / wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (DENSE, "keep=[z]", "no output is named 'z'"),
        (DENSE, 'drop=["?"]', "no output would be left"),
        (DENSE, "classes=[1]", "whose classes"),
        (PRODUCT, "classes=[9]", "classes 0 to 8, not 9"),
        (PRODUCT, "classes=[1, 1]", "twice"),
    ],
)
def test_what_there_is_not_is_refused(text: str, options: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Pipeline.parse(f"prune/outputs{{{options}}}").run(model(text), Context())


def test_classes_that_others_read_cannot_be_chosen() -> None:
    with pytest.raises(ModelError, match="'y' is read elsewhere or an output too"):
        pruned(DENSE, "of=p, classes=[1]")
