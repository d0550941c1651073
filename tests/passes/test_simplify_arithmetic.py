"""Neutral elements, constants that meet, powers, clips, reductions of single elements."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.passes.tools import check, model_of, unchanged


def graph_of(body: str, kind: str = "float") -> str:
    return f"({kind}[N,3,1] x) => ({kind}[N,3,1] y) {{ r = Relu(x) {body} }}"


@pytest.mark.parametrize(
    "body",
    [
        "c = Constant<value_float=0.0>() y = Add(c, r)",
        "c = Constant<value_float=0.0>() y = Sub(r, c)",
        "c = Constant<value=float[3,1] {1.0,1.0,1.0}>() y = Mul(r, c)",
        "c = Constant<value_float=1.0>() y = Div(r, c)",
        "c = Constant<value_float=1.0>() y = Pow(r, c)",
        "c = Constant<value=bool {1}>() y = Where(c, r, x)",
        "c = Greater(x, x) y = Where(c, r, r)",
        "y = Max(r, r)",
        "y = LeakyRelu<alpha=1.0>(r)",
        "n = Neg(r) y = Neg(n)",
        "y = Relu(r)",
        "y = Abs(r)",
    ],
)
def test_goes(body: str) -> None:
    check(graph_of(body), "repeat(simplify, dce)", ["Relu"])


@pytest.mark.parametrize(
    "body",
    [
        "c = Constant<value=float[1,4] {1.0,1.0,1.0,1.0}>() y = Mul(r, c)",
        "c = Constant<value=float[1,1,1,1] {0.0}>() y = Add(r, c)",
        "c = Constant<value_float=0.0>() y = Sub(c, r)",
        "c = Constant<value=float[3,1] {1.0,1.0,2.0}>() y = Mul(r, c)",
        "c = Constant<value_float=1.0000001>() y = Mul(r, c)",
        "c = Constant<value=bool[2] {1,0}>() y = Where(c, r, x)",
        "c = Constant<value=bool[1,4] {1,1,1,1}>() y = Where(c, r, x)",
        "y = Abs(x)",
        "s = Sin(x) y = Relu(s)",
    ],
)
def test_stays(body: str) -> None:
    unchanged(graph_of(body).replace("float[N,3,1] y", "y"), "simplify")


def test_a_smaller_integer_has_no_absolute_value() -> None:
    unchanged("(int32[N] x) => (int32[N] y) { a = Abs(x) y = Relu(a) }", "simplify")


def test_negated_condition() -> None:
    text = "(bool[N] c, float[N] a, float[N] b) => (float[N] y) { n = Not(c) y = Where(n, a, b) }"
    check(text, "simplify", ["Where"])


MERGED = [
    ("a = Mul(x, c) y = Mul(a, d)", ["Mul"]),
    ("a = Add(x, c) y = Add(d, a)", ["Add"]),
    ("a = Div(x, c) y = Div(a, d)", ["Div"]),
    ("a = Mul(x, c) y = Div(a, d)", ["Mul"]),
    ("a = Div(x, c) y = Mul(a, d)", ["Mul"]),
    ("a = Add(x, c) y = Sub(a, d)", ["Add"]),
    ("a = Sub(x, c) y = Add(a, d)", ["Add"]),
    ("a = Sub(x, c) y = Sub(a, d)", ["Sub"]),
    ("a = Sub(c, x) y = Add(a, d)", ["Sub"]),
    ("a = Mul(x, c) y = Neg(a)", ["Mul"]),
    ("a = Neg(x) y = Mul(a, d)", ["Mul"]),
    ("a = Mul(x, c) b = Add(a, d) y = Mul(b, d)", ["Mul", "Add"]),
    ("a = Add(x, c) b = Mul(a, d) y = Add(b, c)", ["Mul", "Add"]),
]
CONSTANTS = "c = Constant<value=float[2] {1.5,-0.3}>() d = Constant<value_float=2.7>()"


@pytest.mark.parametrize(("body", "left"), MERGED)
def test_constants_meet(body: str, left: list[str]) -> None:
    check(f"(float[N,2] x) => (float[N,2] y) {{ {CONSTANTS} {body} }}", "simplify", left)


@pytest.mark.parametrize(
    "body",
    [
        "a = Mul(x, c) y = Mul(a, x)",
        "a = Mul(x, c) b = Mul(a, d) y = Add(a, b)",
        "k = Constant<value_float=1e38>() a = Mul(x, k) y = Mul(a, k)",
        "k = Constant<value_float=1e-30>() a = Mul(x, k) y = Mul(a, k)",
        "k = Constant<value_float=0.0>() a = Mul(x, c) y = Div(a, k)",
        "k = Constant<value_float=12582912.0>() a = Add(x, k) y = Sub(a, k)",
        "k = Constant<value=float[1,2] {1.0,2.0}>() l = Constant<value=float[2,1] {1.0,2.0}>() "
        "a = Mul(x, k) y = Mul(a, l)",
    ],
)
def test_constants_stay_apart(body: str) -> None:
    unchanged(f"(float[N,2] x) => (y) {{ {CONSTANTS} {body} }}", "simplify/constants")


def test_integers_stay_apart() -> None:
    text = "(int64[N] x) => (y) { c = Constant<value_int=3>() a = Mul(x, c) y = Mul(a, c) }"
    unchanged(text, "simplify/constants")


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("a = Clip(x, zero, six) y = Clip(a, one, nine)", ["Clip"]),
        ("a = Relu(x) y = Clip(a, , six)", ["Clip"]),
        ("a = Clip(x, , six) y = Relu(a)", ["Clip"]),
        ("a = Clip(x, seven, nine) y = Clip(a, zero, six)", ["Clip"]),
        ("a = Relu(x) y = Clip(a, zero)", ["Relu"]),
        ("y = Clip(x, zero)", ["Relu"]),
        ("a = Sin(x) y = Clip(a)", ["Sin"]),
    ],
)
def test_clip(body: str, left: list[str]) -> None:
    names = {"zero": 0.0, "one": 1.0, "six": 6.0, "seven": 7.0, "nine": 9.0}
    numbers = " ".join(f"{k} = Constant<value_float={v}>()" for k, v in names.items())
    check(f"(float[N] x) => (float[N] y) {{ {numbers} {body} }}", "simplify", left)


def test_clip_stays_with_crossed_or_computed_bounds() -> None:
    crossed = """a = Constant<value_float=3.0>() b = Constant<value_float=1.0>()
        c = Clip(x, a, b) y = Relu(c)"""
    unchanged(f"(float[N] x) => (y) {{ {crossed} }}", "simplify/clip")
    unchanged("(float[N] x, float b) => (y) { c = Clip(x, b) y = Relu(c) }", "simplify/clip")


def test_powers() -> None:
    text = """(float[N,4] x) => (float[N,4] y) { c = Constant<value_float=E>()
        two = Constant<value_float=2.0>() q = Pow(x, two) y = Pow(q, c) }"""
    check(text.replace("E", "0.5"), "simplify", ["Pow", "Sqrt"])
    check(text.replace("E", "-0.5"), "simplify", ["Pow", "Sqrt", "Reciprocal"], tolerance=1e-4)
    check(text.replace("E", "-1.0"), "simplify", ["Pow", "Reciprocal"], tolerance=1e-4)
    unchanged(text.replace("E", "0.5").replace("=2.0", "=3.0"), "simplify")
    unchanged(text.replace("E", "1.5"), "simplify")


@pytest.mark.parametrize(
    "name", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"]
)
def test_reductions_of_single_elements(name: str) -> None:
    text = f"""(float[N,1,3] x) => (float[N,K] y) {{ r = Relu(x) a = Constant<value_ints=[-2]>()
        y = {name}<keepdims=0>(r, a) }}"""
    check(text.replace("K", "3"), "simplify", ["Relu", "Squeeze"])
    kept = text.replace("keepdims=0", "keepdims=1").replace("N,K", "N,1,3")
    check(kept, "simplify", ["Relu"])
    unchanged(text.replace("[-2]", "[2]").replace("float[N,K] y", "y"), "simplify")


def test_reduction_over_no_axes() -> None:
    text = (
        "(float[N,3] x) => (float[N,3] y) { r = Relu(x) y = ReduceSum<noop_with_empty_axes=1>(r) }"
    )
    check(text, "simplify", ["Relu"])


def test_pooling_of_one_pixel() -> None:
    text = """(float[N,2,5,5] x) => (float[N,2,5,5] y) {
        r = Relu(x) y = MaxPool<kernel_shape=[1,1]>(r) }"""
    check(text, "simplify", ["Relu"])
    skips = text.replace("kernel_shape=[1,1]", "kernel_shape=[1,1], strides=[2,2]")
    unchanged(skips.replace("float[N,2,5,5] y", "y"), "simplify")
    whole = "(float[N,2,1,1] x) => (float[N,2,1,1] y) { r = Relu(x) y = GlobalAveragePool(r) }"
    check(whole, "simplify", ["Relu"])
    unchanged("(float[N,2,1,H] x) => (y) { y = GlobalAveragePool(x) }", "simplify")


def test_half_precision_is_merged_in_double() -> None:
    model: ir.Model = model_of("""(float16[N] x) => (float16[N] y) {
        c = Constant<value=float16 {15462}>() a = Mul(x, c) y = Mul(a, c) }""")
    left = check(model, "simplify", ["Mul"], tolerance=5e-3)
    node = next(node for node in left.graph if node.op_type == "Mul")
    constant = node.inputs[1]
    assert constant is not None
    assert constant.dtype == ir.DataType.FLOAT16
    tensor = constant.const_value
    assert tensor is not None
    assert tensor.numpy() == np.float16(np.float64(np.float16(1.1)) ** 2)


@pytest.mark.parametrize(
    "body",
    [
        "t = Add(x, a) y = Add(t, c)",
        "t = Add(x, a) u = Mul(t, b) y = Add(u, c)",
    ],
)
def test_large_summands_that_cancel_the_input_stay(body: str) -> None:
    numbers = "".join(
        f"{name} = Constant<value=float {{{number}}}>() "
        for name, number in (("a", -1000000), ("b", 1000), ("c", 0.3))
    )
    unchanged(f"(float[4] x) => (float[4] y) {{ {numbers} {body} }}", "simplify")
