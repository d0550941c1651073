"""What exporters lower to indices, fillings and flattened batches, and what only looks like it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.contract.corpus import dialects
from tests.passes.tools import check, unchanged

PIPELINE = (
    "repeat(fold-constants, simplify, read-extents, share-initializers, cse, dce, infer-shapes)"
)


@pytest.mark.parametrize(
    ("graph", "left"),
    [
        (dialects.mask_by_gather_nd(), ["Cast", "Unsqueeze", "Where", "Shape", "Concat", "Expand"]),
        (
            dialects.mask_by_flat_gather(),
            ["Cast", "Unsqueeze", "Where", "Shape", "Concat", "Expand"],
        ),
        (dialects.fewer_columns_by_gather_nd(), ["Slice", "Unsqueeze"]),
        (dialects.strided_view(), ["Squeeze"]),
        (dialects.mean_of_image(), ["GlobalAveragePool", "ReduceMean", "ReduceMean", "Sub"]),
    ],
    ids=["gather-nd", "flat-gather", "fewer", "strided", "mean"],
)
def test_form(graph: onnx.ModelProto, left: Sequence[str]) -> None:
    check(ir.from_proto(graph), PIPELINE, left)


def test_a_row_of_each_is_gathered_batch_by_batch() -> None:
    left = ["ArgMax", "Unsqueeze", "GatherND", "GatherND"]
    model = check(ir.from_proto(dialects.row_of_each()), PIPELINE, left)
    gathers = [node for node in model.graph if node.op_type == "GatherND"]
    assert all(node.attributes["batch_dims"].as_int() == 1 for node in gathers)


def test_an_index_that_may_lie_in_another_matrix_stays() -> None:
    text = """(float[N,5,4] x, int64[N] j) => (float[N,4] y) {
        rows = Constant<value_ints=[-1,4]>() flat = Reshape(x, rows)
        shape = Shape(x) zero = Constant<value_int=0>() n = Gather(shape, zero)
        one = Constant<value_int=1>() r = Range(zero, n, one) five = Constant<value_int=5>()
        first = Mul(r, five) index = Add(j, first) y = Gather<axis=0>(flat, index) }"""
    unchanged(text, "simplify")


def test_flattened_heads_are_heads_again() -> None:
    model = check(
        ir.from_proto(dialects.flattened_heads()),
        PIPELINE,
        ["Reshape"] * 6 + ["Transpose"] * 4 + ["MatMul"] * 3 + ["Div", "Add", "Where", "Softmax"],
    )
    ranks = sorted(len(n.outputs[0].shape or ()) for n in model.graph if n.op_type == "MatMul")
    assert ranks == [3, 4, 4]


def test_states_of_zeros_are_left_out() -> None:
    model = check(ir.from_proto(dialects.recurrent_from_zeros()), PIPELINE, ["LSTM", "GRU"])
    assert all(len(node.inputs) == 3 for node in model.graph)


def test_another_state_stays() -> None:
    text = """(float[T,B,3] x, float[1,8,3] w, float[1,8,8] r, float[1,B,8] h) => (y) {
        y = RNN<hidden_size=8>(x, w, r, , , h) }"""
    unchanged(text, "simplify")


GATHER = """(float[N,6] x) => (y) {{ s = Constant<value_ints=[-1]>() flat = Reshape(x, s)
    shape = Shape(x) i0 = Constant<value_int=0>() n = Gather(shape, i0)
    zero = Constant<value_int={start}>() one = Constant<value_int={step}>()
    r = Range(zero, n, one) six = Constant<value_int={stride}>() m = Mul(r, six)
    a = Constant<value_ints=[1]>() u = Unsqueeze(m, a)
    c = Constant<value_ints={columns}>() index = Add(u, c) y = Gather<axis=0>(flat, index) }}"""


@pytest.mark.parametrize(
    ("start", "step", "stride", "columns"),
    [
        (1, 1, 6, [0, 1, 2, 3, 4, 5]),  # starts at the second row
        (0, 2, 6, [0, 1, 2, 3, 4, 5]),  # every other row
        (0, 1, 3, [0, 1, 2, 3, 4, 5]),  # rows overlap
        (0, 1, 6, [0, 1, 2, 3, 5, 4]),  # another order
        (0, 1, 6, [0, 2, 4]),  # every other column
    ],
)
def test_other_elements_stay(start: int, step: int, stride: int, columns: list[int]) -> None:
    text = GATHER.format(start=start, step=step, stride=stride, columns=columns)
    check(text, "simplify", _operators(text))


def _operators(text: str) -> list[str]:
    names = ("Reshape", "Shape", "Gather", "Range", "Mul", "Unsqueeze", "Add", "Gather")
    return [name for name in names if name in text]


def test_whole_rows_are_the_matrix() -> None:
    text = GATHER.format(start=0, step=1, stride=6, columns=[0, 1, 2, 3, 4, 5])
    check(text, PIPELINE, ["Identity"])


def test_some_columns_are_a_slice() -> None:
    text = GATHER.format(start=0, step=1, stride=6, columns=[0, 1, 2])
    check(text, PIPELINE, ["Slice"])


@pytest.mark.parametrize("kind", ["Less", "LessOrEqual"])
def test_comparison_that_may_fail_stays(kind: str) -> None:
    text = f"""(float[N] x, bool[N] b) => (bool[N] y) {{ s = Shape(x) i = Constant<value_int=0>()
        n = Gather(s, i) one = Constant<value_int=1>() r = Range(i, n, one)
        k = Constant<value_int={1 if kind == "LessOrEqual" else 0}>()
        c = {kind}(k, r) y = And(c, b) }}"""
    check(text, "simplify", ["Shape", "Gather", "Range", kind, "And"])


def test_condition_that_always_holds() -> None:
    text = """(float[N] x, bool[N] b) => (bool[N] y) { s = Shape(x) i = Constant<value_int=0>()
        n = Gather(s, i) one = Constant<value_int=1>() r = Range(i, n, one)
        k = Constant<value_int=-1>() c = Greater(r, k) y = And(c, b) }"""
    check(text, PIPELINE, ["Identity"])


def test_moments_of_a_norm_stay() -> None:
    text = """(float[N,4,H,W] x) => (y, z) { ax = Constant<value_ints=[2,3]>()
        m = ReduceMean(x, ax) y = Sub(x, m) two = Constant<value_float=2.0>()
        p = Pow(x, two) z = ReduceMean(p, ax) }"""
    unchanged(text, "simplify")


def test_batch_that_is_not_spread_as_it_was_gathered() -> None:
    text = """(float[2,6,4,4] a, float[2,6,4,4] b) => (float[3,4,4,4] y) {
        s = Constant<value_ints=[12,4,4]>() fa = Reshape(a, s) fb = Reshape(b, s)
        p = MatMul(fa, fb) t = Constant<value_ints=[3,4,4,4]>() y = Reshape(p, t) }"""
    unchanged(text, "simplify")


def test_uniform_float_condition() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    text = """(float[N,3] x) => (float[N,3] y) { s = Shape(x) o = ConstantOfShape(s)
        c = Cast<to=9>(o) z = Constant<value_float=0.0>() y = Where(c, x, z) }"""
    check(text, PIPELINE, ["Shape", "Expand"], feeds={"x": x})


def test_axes_of_a_comparison_are_added_at_once() -> None:
    text = """(int64[N] i, int64[M] j) => (bool[1,1,N,M] y) {
        a1 = Constant<value_ints=[1]>() a0 = Constant<value_ints=[0]>()
        a01 = Constant<value_ints=[0,1]>() ui = Unsqueeze(i, a1) uj = Unsqueeze(j, a0)
        c = LessOrEqual(uj, ui) y = Unsqueeze(c, a01) }"""
    check(text, "simplify", ["Unsqueeze", "Unsqueeze", "LessOrEqual"])


def test_count_in_the_type_that_is_asked_for() -> None:
    text = """(bool[N,5] x) => (int32[N,5] y) { axis = Constant<value_int=1>()
        c = Cast<to=7>(x) n = CumSum(c, axis) y = Cast<to=6>(n) }"""
    check(text, "simplify", ["Cast", "CumSum"])
    unchanged(text.replace("bool[N,5] x", "float[N,5] x"), "simplify")


def test_flatten_is_a_reshape() -> None:
    text = "(float[N,3,4] x) => (float[N,12] y) { r = Relu(x) y = Flatten(r) }"
    check(text, "simplify", ["Relu", "Reshape"])


def test_repeated_summand_of_a_constant() -> None:
    text = """(float[1,3] x, float[N,3] like) => (float[N,3] y, float[N,3] z) {
        s = Shape(like) e = Expand(x, s) k = Constant<value_floats=[1.0,2.0,3.0]>()
        y = Add(e, k) z = Mul(k, e) }"""
    check(text, "repeat(simplify, dce)", ["Shape", "Add", "Expand", "Mul", "Expand"])


def test_a_reduction_keeps_the_axes_that_are_added_again() -> None:
    text = """(float[N,3,4] x) => (float[N,1,4] y) { a = Constant<value_ints=[1]>()
        m = ReduceMean<keepdims=0>(x, a) y = Unsqueeze(m, a) }"""
    check(text, "simplify", ["ReduceMean"])
    other = text.replace(
        "y = Unsqueeze(m, a)", "b = Constant<value_ints=[2]>() y = Unsqueeze(m, b)"
    )
    unchanged(other.replace("float[N,1,4] y", "float[N,4,1] y"), "simplify")
