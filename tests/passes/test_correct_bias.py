"""Bias correction: the mean of what a quantized layer computes is that of the float layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from onnxopt import catalogue, shapes
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.samples import Samples
from tests.passes import weights
from tests.passes.tools import run

Array = npt.NDArray[Any]
OFF = catalogue.backend("cpu{threads=1, optimization=off}").open
TARGET = catalogue.find_backend("cpu").target()

LAYERS: Mapping[str, tuple[str, dict[str, Array]]] = {
    "convolution": (
        "(float[N,3,8,8] x) => (float[N,4,8,8] y) { y = Conv <pads = [1, 1, 1, 1]> (x, w, b) }",
        {"w": weights.normal(4, 3, 3, 3), "b": weights.normal(4)},
    ),
    "strided, without bias": (
        "(float[N,3,8,8] x) => (float[N,4,3,3] y) { y = Conv <strides = [2, 2]> (x, w) }",
        {"w": weights.normal(4, 3, 3, 3)},
    ),
    "depthwise": (
        "(float[N,3,8,8] x) => (float[N,3,6,6] y) { y = Conv <group = 3> (x, w, b) }",
        {"w": weights.normal(3, 1, 3, 3), "b": weights.normal(3)},
    ),
    "gemm": (
        "(float[N,20] x) => (float[N,6] y) { y = Gemm <transB = 1> (x, w) }",
        {"w": weights.normal(6, 20)},
    ),
    "product and sum": (
        "(float[N,5,20] x) => (float[N,5,6] y) { p = MatMul (x, w) y = Add (p, b) }",
        {"w": weights.normal(20, 6), "b": weights.normal(6)},
    ),
}


def made(name: str) -> ir.Model:
    model = weights.model(*LAYERS[name])
    shapes.infer(model)
    return model


def samples(model: ir.Model) -> list[dict[str, Array]]:
    shape = [size if isinstance(size, int) else 4 for size in model.graph.inputs[0].shape or ()]
    random = np.random.default_rng(2)
    channels = random.uniform(0, 2, (1, shape[1], *(1,) * (len(shape) - 2)))
    return [{"x": (random.random(shape) + channels).astype(np.float32)} for _ in range(5)]


def mean_error(one: ir.Model, other: ir.Model, given: list[dict[str, Array]], axis: int) -> Array:
    pairs = [
        run(ir.to_proto(one), feeds)["y"].astype(np.float64)
        - run(ir.to_proto(other), feeds)["y"].astype(np.float64)
        for feeds in given
    ]
    error = np.concatenate(pairs)
    rest = tuple(a for a in range(error.ndim) if a != axis % error.ndim)
    return np.asarray(np.abs(error.mean(axis=rest)))


CLIPPED = "{method=percentile, percentile=90, values=x}"
CASES = [(name, "") for name in LAYERS if name != "depthwise"]
CASES += [(name, CLIPPED) for name in ("gemm", "product and sum")]


@pytest.mark.parametrize("per_channel", ["true", "false"])
@pytest.mark.parametrize(("name", "ranges"), CASES)
def test_the_mean_error_goes_away(name: str, ranges: str, per_channel: str) -> None:
    plain = made(name)
    given = samples(plain)
    axis = 1 if "Conv" in LAYERS[name][0] else -1
    context = Context(load=OFF, target=TARGET, samples=Samples.of(given))
    errors = []
    for correction in ("", f"quantize/correct-bias{{per-channel={per_channel}}}, "):
        quantized = made(name)
        text = (
            f"quantize/calibrate{ranges}, {correction}quantize/static{{per-channel={per_channel}}}"
        )
        assert Pipeline.parse(text).run(quantized, context)
        onnx.checker.check_model(ir.to_proto(quantized))
        errors.append(mean_error(quantized, plain, given, axis))
    before, after = errors
    assert after.mean() < 0.25 * before.mean()


def test_without_ranges_the_weights_are_what_is_corrected_for() -> None:
    model = made("gemm")
    given = samples(model)
    context = Context(load=OFF, samples=Samples.of(given))
    assert Pipeline.parse("quantize/correct-bias{weights=int4}").run(model, context) == 1
    bias = model.graph[0].inputs[2]
    assert bias is not None
    assert bias.const_value is not None
    weight = LAYERS["gemm"][1]["w"].astype(np.float64)
    scale = np.abs(weight).max(axis=1, keepdims=True) / 7
    mean = np.concatenate([feeds["x"] for feeds in given]).mean(axis=0)
    wanted = (weight - np.rint(weight / scale) * scale) @ mean
    np.testing.assert_allclose(bias.const_value.numpy(), wanted, rtol=1e-4, atol=1e-6)


def test_a_layer_that_stays_in_float_is_left_alone() -> None:
    model = made("depthwise")
    context = Context(load=OFF, target=TARGET, samples=Samples.of(samples(model)))
    text = "quantize/calibrate, quantize/correct-bias"
    assert Pipeline.parse(text).run(model, context) == 1  # the range of what the layer reads


def test_a_product_without_a_sum_has_no_bias_to_correct() -> None:
    text = "(float[N,20] x) => (float[N,6] y) { y = MatMul (x, w) }"
    model = weights.model(text, {"w": weights.normal(20, 6)})
    shapes.infer(model)
    context = Context(load=OFF, samples=Samples.of(samples(model)))
    assert Pipeline.parse("quantize/correct-bias").run(model, context) == 0
