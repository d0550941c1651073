"""Static quantization to 8-bit floating-point numbers: products alone, as the formats round."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

import onnxopt
from onnxopt import graph, io
from onnxopt.base import Context
from onnxopt.errors import UsageError
from onnxopt.pipeline import Pipeline
from onnxopt.quantization.coverage import foretold
from onnxopt.samples import Samples
from onnxopt.verify import Verify
from tests.contract.corpus.build import model, normal
from tests.quantization.test_openvino import BLOCKS
from tests.quantization.test_static import IMAGE, MATRICES, MODELS
from tests.quantization.test_tensorrt import BLOCK, TARGET, absent
from tests.quantization.tools import EXACT, LOAD, Array, read, sqnr

KINDS = {"float8e4m3fn": ml_dtypes.float8_e4m3fn, "float8e5m2": ml_dtypes.float8_e5m2}
LARGEST = {"float8e4m3fn": 448, "float8e5m2": 57344}
PRODUCTS = ("Conv", "Gemm", "MatMul")


def quantized(made: ir.Model, feeds: list[dict[str, Array]], options: str) -> int:
    context = Context(target=TARGET, load=LOAD, samples=Samples.of(feeds))
    Pipeline.parse("quantize/calibrate{method=minmax}").run(made, context)
    return Pipeline.parse(f"quantize/static{{{options}}}").run(made, context, [Verify()])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_products_alone_read_such_numbers(name: str, kind: str) -> None:
    text, weights, feeds, layers = MODELS[name]
    made = read(text, weights)
    before = [EXACT(made, each) for each in feeds]
    assert quantized(made, feeds, f"activations={kind}") == layers
    assert min(map(sqnr, before, [EXACT(made, each) for each in feeds])) > 17
    readers = []
    for node in made.graph:
        if node.op_type == "DequantizeLinear":
            zero = graph.array(node.inputs[2])
            assert zero is not None
            assert zero.dtype == KINDS[kind]
            assert not zero.astype(np.float32).any()
            readers += [use.node.op_type for use in node.outputs[0].uses()]
    assert set(readers) <= set(PRODUCTS)
    assert len(readers) == 2 * layers
    assert not foretold(made, TARGET.integer or pytest.fail("no rows")).integer


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_format(kind: str) -> None:
    text = "g (float[6,16] x) => (float[6,32] y) { y = Gemm(x, w, b) }"
    made = read(text, {name: MATRICES[name] for name in "wb"}, opset=19)
    x = normal(6, 16)
    quantized(made, [{"x": x}], f"activations={kind}, per-channel=false")

    def nearest(array: Array) -> Array:
        step = np.float32(np.abs(array).max() / LARGEST[kind])
        return (array / step).astype(KINDS[kind]).astype(np.float32) * step

    expected = nearest(x) @ nearest(MATRICES["w"]) + MATRICES["b"]
    np.testing.assert_allclose(EXACT(made, {"x": x})["y"], expected, rtol=1e-5, atol=1e-5)
    [found] = ReferenceEvaluator(io.to_proto(made)).run(["y"], {"x": x})
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        "weights=float8e4m3fn",
        "activations=float8e4m3fn, weights=int8",
        "activations=float8e5m2, weight-bits=7",
    ],
)
def test_what_no_product_multiplies_is_refused(options: str) -> None:
    text, weights, feeds, _ = MODELS["mlp"]
    with pytest.raises(UsageError, match="no pair"):
        quantized(read(text, weights), feeds, options)


@absent
def test_the_scheme_is_for_targets_that_are_elsewhere() -> None:
    result, report = onnxopt.quantize_with_report(
        model(BLOCKS, BLOCK), samples=IMAGE, target="tensorrt", scheme="float8", measure=False
    )
    assert (report.chosen, report.tried[0].layers) == ("float8", 5)
    assert report.tried[0].integer_share is None
    held = [value.dtype for value in result.graph.initializers.values() if value.name != ""]
    assert ir.DataType.FLOAT8E4M3FN in held
    assert ir.DataType.INT8 not in held
