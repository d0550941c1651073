"""What cutting rewrites, and what it refuses: with the model as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from onnxopt import graph
from onnxopt.coupling import TABLE, Role, couple, cut
from onnxopt.errors import ModelError, UsageError
from onnxopt.shapes import infer
from tests.coupling.planted import assert_exact, free, run

RANDOM = np.random.default_rng(0)


def build(
    text: str, weights: Mapping[str, np.ndarray], domains: str = "", opset: int = 17
) -> ir.Model:
    """Read calls that compute ``y`` from ``x``, with weights by name."""
    head = f'<ir_version: 8, opset_import: ["": {opset}{domains}]>'
    proto = onnx.parser.parse_model(f"{head}\ng {text}")
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
        ({"hh": [0]}, "the model has no group 'hh', did you mean 'h'"),
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


def test_weights_that_callers_may_override_stay() -> None:
    model = chain()
    model.graph.inputs.append(conv(model, 0))
    coupling = couple(model)
    assert free(coupling) == []
    assert coupling["h"].blocked == "weight 'a' is an input that callers may override"
    with pytest.raises(UsageError, match="no group 'hh', did you mean 'h'"):
        coupling["hh"]


def test_a_weight_that_is_an_output_too_is_copied() -> None:
    model = chain()
    model.graph.outputs.append(conv(model, 0))
    (group,) = free(couple(model))
    cut(model, {group.name: np.array([0, 5])})
    assert [array.shape for array in run(model, image())] == [(2, 3, 5, 5), (6, 3, 1, 1)]


def test_where_the_largest_are_counts_through_all_channels() -> None:
    pools = "a0, i = MaxPool<kernel_shape=[1,1]>(h) f = Cast<to=1>(i) y0 = Add(a0, f)"
    assert free(couple(chain(pools))) == []


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


@pytest.mark.parametrize(
    "between",
    [
        "s = Shape(h) p = ReduceProd<keepdims=0>(s) f = Cast<to=1>(p) y0 = Div(h, f)",
        "s = Shape<start=1,end=2>(h) f = Cast<to=1>(s) q = Sqrt(f) y0 = Div(h, q)",
        "s = Shape(h) o = Constant<value = float[1] {2}>() e = Expand(o, s) y0 = Mul(h, e)",
    ],
)
def test_extents_count_as_they_were(between: str) -> None:
    (group,) = assert_exact(chain(between), image())
    assert group.units == 6


def test_the_shape_of_what_shrinks_makes_what_does_not() -> None:
    text = """(float[n,4] x) => (float y) {
      h = MatMul(x, a) s = Shape(h) o = Constant<value = float[1] {2}>() e = Expand(o, s)
      y0 = MatMul(h, b) z = MatMul(e, c) y = Concat<axis=1>(y0, z) }"""
    model = build(text, {"a": normal(4, 6), "b": normal(6, 2), "c": normal(6, 3)})
    assert [group.units for group in assert_exact(model, {"x": normal(2, 4)})] == [6]


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


ATTENTION = {
    "three axes": "z = Attention<q_num_heads=4, kv_num_heads=2>(q, k, v)",
    "four axes": """s4 = Constant<value = int64[4] {0,0,4,4}>()
      s2 = Constant<value = int64[4] {0,0,2,4}>()
      q4 = Reshape(q, s4) k4 = Reshape(k, s2) v4 = Reshape(v, s2)
      qt = Transpose<perm=[0,2,1,3]>(q4) kt = Transpose<perm=[0,2,1,3]>(k4)
      vt = Transpose<perm=[0,2,1,3]>(v4) a4 = Attention(qt, kt, vt)
      at = Transpose<perm=[0,2,1,3]>(a4) s3 = Constant<value = int64[3] {0,0,16}>()
      z = Reshape(at, s3)""",
    "rotated": """r = RotaryEmbedding<num_heads=4>(q, c, s)
      z = Attention<q_num_heads=4, kv_num_heads=2>(r, k, v)""",
    "a runtime's own": "z = com.microsoft.MultiHeadAttention<num_heads=4>(q, kk, vv, t)",
}


@pytest.mark.parametrize("name", ATTENTION)
def test_heads_leave_an_operator(name: str) -> None:
    text = f"""(float[n,s,6] x) => (float y) {{
      q = MatMul(x, a) k = MatMul(x, b) v = MatMul(x, d) kk = MatMul(x, e) vv = MatMul(x, f)
      {ATTENTION[name]} w = Concat<axis=2>(z, k, v, kk, vv) y = MatMul(w, o) }}"""
    weights = {
        **{key: normal(6, 16) for key in "aef"},
        **{key: normal(6, 8) for key in "bd"},
        "o": normal(64, 3),
        "t": normal(48),
        "c": normal(2, 5, 2),
        "s": normal(2, 5, 2),
    }
    used = {
        key: value for key, value in weights.items() if f" {key})" in text or f" {key}," in text
    }
    model = build(text, used, ', "com.microsoft": 1', opset=23)
    groups = assert_exact(model, {"x": normal(2, 5, 6)})
    heads = 4 if "num_heads=4>(q, kk" in text else 2
    assert heads in {group.units for group in groups}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_nodes_that_break_their_definition_keep_what_they_touch(count: int) -> None:
    for domain, name in sorted(TABLE):
        model = chain()
        first, second = (node for node in model.graph if node.op_type == "Conv")
        inputs = [first.outputs[0], conv(model, 1), None][:count]
        odd = ir.node(name, inputs, {"axis": 9, "perm": [7]}, domain=domain, num_outputs=2)
        model.graph.insert_before(second, odd)
        with contextlib.suppress(ModelError):
            for group in free(couple(model)):
                cut(model, {group.name: np.arange(1)})


def test_the_cut_model_runs() -> None:
    model = chain()
    cut(model, {"h": np.array([2])})
    assert run(model, image())[0].shape == (2, 3, 5, 5)
