"""Static quantization in the form that TensorRT reads, which needs no TensorRT to be made."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import onnxopt
from onnxopt import graph
from onnxopt.backends._integer import TENSORRT
from onnxopt.backends.tensorrt import Tensorrt
from onnxopt.base import Context
from onnxopt.errors import BackendError
from onnxopt.pipeline import Pipeline
from onnxopt.quantization.coverage import foretold
from onnxopt.samples import Samples
from onnxopt.target import Target
from onnxopt.verify import Verify
from tests.contract.corpus.build import model, normal
from tests.quantization.test_openvino import BLOCKS, ENCODER
from tests.quantization.test_static import FILTER, IMAGE, MODELS
from tests.quantization.tools import EXACT, LOAD, Array, read, sqnr

TARGET = Target(name="tensorrt", pipeline="dce", probe_max_opset=lambda: 24, integer=TENSORRT)
BLOCK = {**FILTER, "u": normal(8, 8, 1, 1, seed=2) / 3}


def quantized(made: ir.Model, feeds: list[dict[str, Array]]) -> int:
    context = Context(target=TARGET, load=LOAD, samples=Samples.of(feeds))
    Pipeline.parse("quantize/calibrate").run(made, context)
    return Pipeline.parse("quantize/static").run(made, context, [Verify()])


def made_by(value: ir.Value | None) -> str:
    producer = None if value is None else value.producer()
    return "" if producer is None else producer.op_type


@pytest.mark.parametrize("name", MODELS)
def test_every_product_reads_symmetric_integers(name: str) -> None:
    text, weights, feeds, layers = MODELS[name]
    made = read(text, weights)
    before = [EXACT(made, each) for each in feeds]
    assert quantized(made, feeds) == layers
    assert min(map(sqnr, before, [EXACT(made, each) for each in feeds])) > 25
    assert len(foretold(made, TENSORRT).integer) == layers
    for node in made.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = graph.array(node.inputs[2])
            assert zero is not None
            assert zero.dtype == np.int8
            assert not zero.any()


def test_the_other_operand_of_a_residual_sum_is_in_integers() -> None:
    made = read(BLOCKS, BLOCK)
    assert quantized(made, IMAGE) == 5
    sums = [node for node in made.graph if node.op_type == "Add"]
    operands = [sorted(made_by(value) for value in node.inputs) for node in sums]
    assert operands == [["Conv", "DequantizeLinear"]] * 2


def test_biases_and_activations_stay_in_float() -> None:
    made = read(BLOCKS, BLOCK)
    quantized(made, IMAGE)
    convolutions = [node for node in made.graph if node.op_type == "Conv"]
    biases = [node.inputs[2] for node in convolutions if len(node.inputs) > 2]
    assert all(value is not None and value.dtype == ir.DataType.FLOAT for value in biases)
    assert all(made_by(value) == "" for value in biases)
    for node in made.graph:
        if node.op_type == "Relu":
            readers = {use.node.op_type for use in node.outputs[0].uses()}
            assert readers == {"QuantizeLinear"}


def test_an_encoder_is_quantized_at_the_inputs_of_its_products_only() -> None:
    weights = {
        **{name: normal(16, 16, seed=at) / 4 for at, name in enumerate("wvu")},
        **{"b": normal(16), "c": normal(16, seed=5)},
    }
    made = read(ENCODER, weights)
    assert quantized(made, [{"x": normal(1, 6, 16)}]) == 3
    for node in made.graph:
        if node.op_type == "QuantizeLinear":
            [use] = node.outputs[0].uses()
            after = {reader.node.op_type for reader in use.node.outputs[0].uses()}
            assert after == {"MatMul"}


absent = pytest.mark.skipif(Tensorrt.unavailable() is None, reason="TensorRT is here")


@absent
def test_a_target_that_is_elsewhere_is_compared_on_the_cpu() -> None:
    given = model(BLOCKS, BLOCK)
    result, report = onnxopt.quantize_with_report(
        given, samples=IMAGE, target="tensorrt", measure=False
    )
    assert report.chosen == "int8"
    row = next(row for row in report.tried if row.scheme == "int8")
    assert (row.layers, row.integer_share, row.confirmed) == (5, 1.0, None)
    assert row.sqnr_db is not None
    assert any("tensorrt is not on this machine" in each for each in report.warnings)
    kinds = {value.dtype for value in result.graph.initializers.values()}
    assert ir.DataType.UINT8 not in kinds


@absent
def test_a_target_that_is_elsewhere_is_not_measured() -> None:
    with pytest.raises(BackendError, match=r"no TensorrtExecutionProvider .*--no-measure"):
        onnxopt.quantize(model(BLOCKS, BLOCK), samples=IMAGE, target="tensorrt")


def test_options_reach_the_provider() -> None:
    name, settings = Tensorrt(half=True, device=1).provider_settings()
    assert name == "TensorrtExecutionProvider"
    assert settings["trt_int8_enable"] == settings["trt_fp16_enable"] == "True"
    assert settings["trt_engine_cache_enable"] == "False"
    assert Tensorrt(device=1).others() == (("CUDAExecutionProvider", {"device_id": "1"}),)
