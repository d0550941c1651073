"""MatMulNBits: what ONNX Runtime computes of the bytes is the product with the rounded weight."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue, shapes
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.quantization.granularity import PerBlock
from onnxopt.quantization.params import fit_array, rounded
from onnxopt.quantization.types import named
from onnxopt.samples import Samples
from onnxopt.target import Target
from tests.passes import weights
from tests.passes.tools import run

CPU = catalogue.find_backend("cpu").target()
OPERATOR = "com.microsoft::MatMulNBits"

pytestmark = pytest.mark.skipif(
    OPERATOR not in CPU.operators, reason="this ONNX Runtime has no MatMulNBits"
)

NET = """
(float[N,S,K] x) => (float[N,S,M] y) {
  m = MatMul (x, w)
  a = Add (m, b)
  y = Relu (a)
}
"""
FLAT = "(float[N,K] x) => (float[N,M] y) { y = Gemm <transB = 1> (x, w, b) }"


def made(k: int = 96, m: int = 34) -> ir.Model:
    model = weights.model(
        NET.replace("K", str(k)).replace("M]", f"{m}]"),
        {"w": weights.normal(k, m), "b": weights.normal(m)},
    )
    shapes.infer(model)
    return model


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(("bits", "block"), [(2, 16), (4, 32), (4, 128), (8, 64)])
def test_the_runtime_multiplies_by_the_rounded_weight(
    bits: int,
    block: int,
    symmetric: bool,
) -> None:
    model = made()
    x = weights.normal(2, 3, 96)
    text = f"quantize/nbits{{bits={bits}, block={block}, symmetric={str(symmetric).lower()}, "
    assert Pipeline.parse(f"{text}accuracy-level=1}}").run(model, Context(target=CPU)) == 1
    reach = PerBlock(axis=0, size=block)
    weight = weights.normal(96, 34)
    params = fit_array(weight, named(f"uint{bits}"), reach, symmetric=symmetric)
    expected = np.maximum(x @ rounded(weight, params) + weights.normal(34), 0)
    found = run(ir.to_proto(model), {"x": x})["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_gemm_with_rows_of_weights_is_taken_too() -> None:
    model = weights.model(
        FLAT.replace("K", "40").replace("M]", "20]"),
        {"w": weights.normal(20, 40), "b": weights.normal(20)},
    )
    shapes.infer(model)
    x = weights.normal(3, 40)
    before = run(ir.to_proto(model), {"x": x})["y"]
    pipeline = Pipeline.parse("quantize/nbits{bits=8, block=32}")
    assert pipeline.run(model, Context(target=CPU)) == 1
    assert [node.op_type for node in model.graph] == ["MatMulNBits", "Add"]
    after = run(ir.to_proto(model), {"x": x})["y"]
    np.testing.assert_allclose(after, before, atol=0.03 * float(np.abs(before).max()))


def test_only_where_the_target_has_it() -> None:
    model = made()
    other = Target(name="other", pipeline="dce", probe_max_opset=lambda: 20)
    assert Pipeline.parse("quantize/nbits").run(model, Context(target=other)) == 0


@pytest.mark.parametrize(("rows", "count"), [(0, 1), (5, 0), (6, 1)])
def test_layers_of_many_rows_stay(rows: int, count: int) -> None:
    model = made()
    load = catalogue.backend("cpu{threads=1}").open
    samples = Samples.of([{"x": weights.normal(2, size, 96)} for size in (1, 3)])
    context = Context(target=CPU, load=load, samples=samples)
    assert Pipeline.parse(f"quantize/nbits{{rows={rows}}}").run(model, context) == count


def test_patterns_and_size_leave_layers_out() -> None:
    assert Pipeline.parse("quantize/nbits{skip=[m]}").run(made(), Context(target=CPU)) == 0
    assert Pipeline.parse("quantize/nbits{least=4000}").run(made(), Context(target=CPU)) == 0
