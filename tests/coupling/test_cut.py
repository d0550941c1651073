"""What cutting rewrites, and what it refuses: with the model as it was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from onnxopt import graph
from onnxopt.coupling import Role, couple, cut
from onnxopt.errors import UsageError
from onnxopt.shapes import infer
from tests.coupling.planted import assert_exact, free, run

RANDOM = np.random.default_rng(0)


def build(text: str, weights: Mapping[str, np.ndarray], domains: str = "") -> ir.Model:
    """Read calls that compute ``y`` from ``x``, with weights by name."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17{domains}]>\ng {text}')
    for value in (*proto.graph.input, *proto.graph.output):
        if not value.type.tensor_type.shape.dim:  # it is written as a scalar; nothing is known
            value.type.tensor_type.ClearField("shape")
    proto.graph.initializer.extend(
        numpy_helper.from_array(contents, name) for name, contents in weights.items()
    )
    model = ir.from_proto(proto)
    infer(model)
    return model


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def contents(value: ir.Value | None) -> np.ndarray:
    """Return the numbers of a constant."""
    found = graph.array(value)
    assert found is not None
    return found


def conv(model: ir.Model, index: int) -> ir.Value:
    """Return the weights of the index-th convolution."""
    found = [node for node in model.graph if node.op_type == "Conv"][index].inputs[1]
    assert found is not None
    return found


def chain(between: str = "y0 = Relu(h)", domains: str = "") -> ir.Model:
    """Build two convolutions of 6 and 3 channels with calls from ``h`` to ``y0`` between."""
    text = f"(float[n,3,5,5] x) => (float y) {{ h = Conv(x, a) {between} y = Conv(y0, b) }}"
    return build(text, {"a": normal(6, 3, 1, 1), "b": normal(3, 6, 1, 1)}, domains)


def image() -> dict[str, np.ndarray]:
    return {"x": normal(2, 3, 5, 5)}


def test_units_go_from_both_sides() -> None:
    model = chain()
    first, second = (conv(model, index) for index in (0, 1))
    old = [contents(first), contents(second)]
    (group,) = free(couple(model))
    roles = {
        (member.value.name, member.axis): member.role for member in group.members if member.node
    }
    assert roles == {("a", 0): Role.PRODUCES, ("b", 1): Role.READS}
    assert cut(model, {group.name: np.array([1, 4])}) == 4
    np.testing.assert_array_equal(contents(conv(model, 0)), old[0][[1, 4]])
    np.testing.assert_array_equal(contents(conv(model, 1)), old[1][:, [1, 4]])


@pytest.mark.parametrize(
    ("keep", "problem"),
    [
        ({"h": []}, "nothing would be left of axis"),
        ({"hh": [0]}, "there is no group 'hh' to cut, did you mean 'h'"),
        ({"h": [6]}, "has units 0 to 5, not 6"),
        ({"y": [0]}, "has to stay whole: output 'y' of the model"),
        ({"h": [0], "y": [0]}, "has to stay whole"),
    ],
)
def test_what_cannot_be_cut_changes_nothing(keep: dict[str, list[int]], problem: str) -> None:
    model = chain()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    with pytest.raises(UsageError, match=problem):
        cut(model, {name: np.array(units, int) for name, units in keep.items()})
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_nothing_to_cut() -> None:
    model = build("(float[n,4] x) => (float y) { y = MatMul(x, a) }", {"a": normal(4, 3)})
    assert free(couple(model)) == []
    assert cut(model, {}) == 0


def test_operators_without_a_row_are_named() -> None:
    model = chain("y0 = com.acme.Magic(h)", ', "com.acme": 1')
    coupling = couple(model)
    assert list(coupling.without_row) == ["com.acme::Magic"]
    assert coupling["h"].blocked == "operator com.acme::Magic has no row"
    assert free(coupling) == []


def test_control_flow_keeps_what_it_reads() -> None:
    branch = "g () => (float z) { z = Identity(h) }"
    other = "e () => (float w) { w = Identity(h) }"
    calls = f"c = ReduceMax<keepdims=0>(h) b0 = Cast<to=9>(c) y0 = If(b0) <then_branch={branch}, else_branch={other}>"  # noqa: E501
    assert [group.units for group in free(couple(chain(calls)))] == []


def test_unknown_shapes_keep_everything() -> None:
    text = "(float x) => (float y) { h = MatMul(x, a) r = Relu(h) y = MatMul(r, b) }"
    model = build(text, {"a": normal(4, 6), "b": normal(6, 3)})
    assert free(couple(model)) == []


def test_a_kernel_used_twice_gives_the_same_units_twice() -> None:
    text = "(float[n,4] x) => (float y) {h = MatMul(x, a) r = Relu(h) i = MatMul(r, b) j = MatMul(i, a) s = Relu(j) y = MatMul(s, c)}"  # noqa: E501
    model = build(text, {"a": normal(4, 6), "b": normal(6, 4), "c": normal(6, 2)})
    assert sorted(group.units for group in free(couple(model))) == [6]
    assert_exact(model, {"x": normal(3, 4)})
    products = [node.inputs[1] for node in model.graph if node.op_type == "MatMul"]
    assert products[0] is products[2]


def test_a_vector_used_twice_is_cut_twice() -> None:
    text = "(float[n,4] x) => (float y) {h = Gemm(x, a, t) r = Relu(h) i = Gemm(r, b, t) s = Relu(i) y = MatMul(s, c)}"  # noqa: E501
    weights = {"a": normal(4, 6), "b": normal(6, 6), "c": normal(6, 2), "t": normal(6)}
    model = build(text, weights)
    assert [group.units for group in free(couple(model))] == [6, 6]
    cut(model, {"h": np.array([0, 2]), "i": np.array([1, 3, 5])})
    terms = [contents(node.inputs[2]) for node in model.graph if node.op_type == "Gemm"]
    np.testing.assert_array_equal(terms[0], weights["t"][[0, 2]])
    np.testing.assert_array_equal(terms[1], weights["t"][[1, 3, 5]])


HEADS = """(float[n,s,8] x) => (float y) {
  h = MatMul(x, a)
  whole = Shape(h)
  zero = Constant<value = int64[1] {0}>() one = Constant<value = int64[1] {1}>()
  rows = Gather(whole, zero) steps = Gather(whole, one)
  count = Constant<value = int64[1] {3}>() width = Constant<value = int64[1] {4}>()
  hidden = Constant<value = int64[1] {12}>()
  split = Concat<axis=0>(rows, steps, count, width)
  joined = Concat<axis=0>(rows, steps, hidden)
  heads = Reshape(h, split)
  turned = Transpose<perm=[0,2,1,3]>(heads)
  weights = Softmax(turned)
  back = Transpose<perm=[0,2,1,3]>(weights)
  flat = Reshape(back, joined)
  y = MatMul(flat, b)
}"""


def test_shapes_that_are_computed_follow() -> None:
    model = build(HEADS, {"a": normal(8, 12), "b": normal(12, 5)})
    groups = assert_exact(model, {"x": normal(2, 3, 8)})
    assert [group.units for group in groups] == [3]


def test_extents_that_count_in_formulas_keep_their_axis() -> None:
    product = "s = Shape(h) p = ReduceProd<keepdims=0>(s) f = Cast<to=1>(p) y0 = Div(h, f)"
    coupling = couple(chain(product))
    assert free(coupling) == []
    assert "ReduceProd" in (coupling.groups[0].blocked or "")


def test_known_extents_count_as_they_were() -> None:
    root = "s = Shape<start=1,end=2>(h) f = Cast<to=1>(s) q = Sqrt(f) y0 = Div(h, q)"
    assert_exact(chain(root), image())


def test_quantized_weights_are_cut_with_their_scales() -> None:
    text = """(float[n,3,5,5] x) => (float y) {
      q = DequantizeLinear<axis=0>(a, s, z) h = Conv(x, q, t) r = Relu(h) y = Conv(r, b) }"""
    weights = {
        "a": RANDOM.integers(-99, 99, (6, 3, 1, 1)).astype(np.int8),
        "s": np.abs(normal(6)),
        "z": np.zeros(6, np.int8),
        "t": normal(6),
        "b": normal(3, 6, 1, 1),
    }
    model = build(text, weights)
    (group,) = assert_exact(model, image())
    roles = {member.value.name: member.role for member in group.members if member.node}
    assert roles["a"] is Role.PRODUCES


@pytest.mark.parametrize(
    "between",
    [
        "y0 = Clip(h)",
        "s = ReduceMean<axes=[2,3]>(h) g = Sigmoid(s) y0 = Mul(h, g)",
        "k = Constant<value = int64[4] {1,6,1,1}>() o = Constant<value = float[1] {2}>() e = Expand(o, k) y0 = Mul(h, e)",  # noqa: E501
        "k = Constant<value = int64[4] {1,1,2,1}>() t = Tile(h, k) y0 = Relu(t)",
        "d = DepthToSpace<blocksize=1>(h) y0 = SpaceToDepth<blocksize=1>(d)",
        "p = Constant<value = int64[8] {0,0,1,1,0,0,1,1}>() y0 = Pad(h, p)",
        'e = Einsum<equation="nchw->nhwc">(h) y0 = Einsum<equation="nhwc->nchw">(e)',
        'r = Constant<value = int64[4] {1,6,8,8}>() y0 = Resize<mode="nearest">(h, "", "", r)',
        "m = ReduceL2<axes=[1]>(h) y0 = Div(h, m)",
        "m = ReduceMean<axes=[1]>(h) y0 = Sub(h, m)",
    ],
)
def test_operators_between(between: str) -> None:
    feeds = image()
    model = chain(between)
    if "Resize" in between:
        feeds = {"x": feeds["x"][:1]}
    (group,) = assert_exact(model, feeds)
    assert group.units == 6


@pytest.mark.parametrize(
    "between",
    [
        "y0 = Softmax<axis=1>(h)",
        "m = ReduceMax<axes=[1]>(h) y0 = Sub(h, m)",
        "i = ArgMax<axis=1>(h) f = Cast<to=1>(i) y0 = Add(h, f)",
        "y0 = LRN<size=3>(h)",
    ],
)
def test_operators_that_mix_units(between: str) -> None:
    assert free(couple(chain(between))) == []


def test_the_cut_model_runs() -> None:
    model = chain()
    cut(model, {"h": np.array([2])})
    assert run(model, image())[0].shape == (2, 3, 5, 5)
