"""Products with a bias as Gemm: the same numbers, rows from one product to the next."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt import shapes
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes import weights
from tests.passes.tools import run

FULL = "to-gemm, simplify, cse, dce"
BLOCK = """({x} x) => ({y} y) {{
    a = MatMul(x, w) h = Add(b, a) g = {f} m = MatMul(g, v) s = Add(m, c) y = Add(s, x) }}"""
WEIGHTS = {
    "w": weights.normal(8, 16) / 3,
    "b": weights.normal(16),
    "v": weights.normal(16, 8) / 4,
    "c": weights.normal(8),
    "low": weights.number(-0.5),
    "high": weights.number(0.5),
}


def block(shape: str, function: str = "Gelu(h)") -> ir.Model:
    kind = f"float[{shape},8]"
    model = weights.model(BLOCK.format(x=kind, y=kind, f=function), WEIGHTS, opset=20)
    shapes.infer(model)
    return model


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("function", ["Gelu(h)", "Relu(h)", "Clip(h, low, high)", "Sigmoid(h)"])
def test_rows_stay_rows_from_one_product_to_the_next(function: str) -> None:
    model = block("n,5", function)
    feeds = {"x": weights.normal(3, 5, 8)}
    before = run(ir.to_proto(model), feeds)["y"]
    assert Pipeline.parse(FULL).run(model, Context()) > 0
    inner = function.partition("(")[0]
    assert operators(model) == ["Reshape", "Gemm", inner, "Gemm", "Reshape", "Add"]
    after = run(ir.to_proto(model), feeds)["y"]
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(-1, 3), st.integers(0, 3))
def test_numbers_stay_for_any_leading_axes(fixed: list[int], free: int, batch: int) -> None:
    names = [str(extent) for extent in fixed]
    sizes = list(fixed)
    if 0 <= free < len(fixed):
        names[free], sizes[free] = "n", batch
    model = block(",".join(names))
    feeds = {"x": weights.normal(*sizes, 8)}
    before = run(ir.to_proto(model), feeds)["y"]
    assert Pipeline.parse(FULL).run(model, Context()) > 0
    assert operators(model).count("Gemm") == 2
    after = run(ir.to_proto(model), feeds)["y"]
    assert after.shape == before.shape
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", ["n", "n,t", "n,0"], ids=["rows", "two unknown", "empty"])
def test_others_stay(shape: str) -> None:
    model = block(shape)
    assert Pipeline.parse("to-gemm").run(model, Context()) == 0


def test_a_product_that_is_read_elsewhere_stays() -> None:
    text = (
        "(float[n,5,8] x) => (float[n,5,16] y, float[n,5,16] a) { a = MatMul(x, w) y = Add(a, b) }"
    )
    model = weights.model(text, WEIGHTS, opset=20)
    shapes.infer(model)
    assert Pipeline.parse("to-gemm").run(model, Context()) == 0


def test_a_bias_that_is_no_row_stays() -> None:
    text = "(float[n,5,8] x) => (float[n,5,16] y) { a = MatMul(x, w) y = Add(a, k) }"
    model = weights.model(text, {**WEIGHTS, "k": weights.normal(5, 16)}, opset=20)
    shapes.infer(model)
    assert Pipeline.parse("to-gemm").run(model, Context()) == 0


def test_what_reads_the_rows_as_they_were_keeps_them() -> None:
    text = """(float[n,5,8] x) => (float[n,5,16] y, float[n,5,16] z) {
        a = MatMul(x, w) h = Add(a, b) y = Gelu(h) z = Neg(h) }"""
    model = weights.model(text, WEIGHTS, opset=20)
    feeds = {"x": weights.normal(2, 5, 8)}
    before = run(ir.to_proto(model), feeds)
    shapes.infer(model)
    Pipeline.parse(FULL).run(model, Context())
    assert operators(model) == ["Reshape", "Gemm", "Reshape", "Gelu", "Neg"]
    after = run(ir.to_proto(model), feeds)
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", ["n,5", "2,5", "2,n,3"])
def test_rows_are_found_again(shape: str) -> None:
    model = block(shape)
    feeds = {"x": weights.normal(*(int(e) if e != "n" else 3 for e in shape.split(",")), 8)}
    before = run(ir.to_proto(model), feeds)["y"]
    wanted = operators(model)
    Pipeline.parse(FULL).run(model, Context())
    assert operators(model) != wanted
    Pipeline.parse("infer-shapes, repeat(fuse, simplify, dce, infer-shapes)").run(model, Context())
    assert sorted(operators(model)) == sorted(wanted)
    after = run(ir.to_proto(model), feeds)["y"]
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
