"""Scales, zero points and packing against what ONNX Runtime's operators compute."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import helper
from onnx.reference import ReferenceEvaluator

from onnxopt.errors import ModelError
from onnxopt.quantization import ranges
from onnxopt.quantization.granularity import Granularity, PerAxis, PerBlock, PerTensor
from onnxopt.quantization.packing import bits_of, stored
from onnxopt.quantization.params import dequantize, fit, fit_array, quantize, rounded
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.types import BINARY, INT4, INT8, TYPES, UINT4, UINT8, QuantType

INTEGERS = [kind for kind in TYPES.values() if kind is not BINARY]
numbers = st.floats(-1e6, 1e6, width=32)
matrices = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=numbers
)
granularities: st.SearchStrategy[Granularity] = st.sampled_from(
    [
        PerTensor(),
        PerAxis(axis=0),
        PerAxis(axis=1),
        PerBlock(axis=1, size=4),
        PerBlock(axis=0, size=2),
    ]
)


@settings(max_examples=150)
@given(matrices, granularities, st.sampled_from(INTEGERS), st.booleans())
def test_error_is_at_most_half_a_step(
    array: np.ndarray, granularity: Granularity, kind: QuantType, symmetric: bool
) -> None:
    params = fit_array(array, kind, granularity, symmetric=symmetric)
    step = granularity.spread(params.scale, array.shape)
    slack = 0.5 if symmetric else 1.0  # a rounded zero point moves one end by half a step more
    assert np.all(np.abs(rounded(array, params) - array) <= step * (slack + 1e-3) + 1e-6)


@settings(max_examples=60)
@given(matrices, st.sampled_from([UINT8, INT8]), st.booleans())
def test_integers_are_those_of_quantize_linear(
    array: np.ndarray, kind: QuantType, symmetric: bool
) -> None:
    params = fit_array(array, kind, PerTensor(), symmetric=symmetric)
    zero = params.zero_point.astype(kind.stored.numpy())
    node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
    feeds = {"x": array, "scale": params.scale, "zero": zero}
    theirs = list(ReferenceEvaluator(node).run(None, feeds))
    assert np.array_equal(quantize(array, params), theirs[0])


@given(st.floats(-100, 0), st.floats(0, 100), st.sampled_from(INTEGERS), st.booleans())
def test_zero_is_kept_exactly(low: float, high: float, kind: QuantType, symmetric: bool) -> None:
    params = fit(low, high, kind, symmetric=symmetric)
    assert rounded(np.zeros(1, np.float32), params)[0] == 0
    assert kind.qmin <= params.zero_point <= kind.qmax


@given(arrays.arrays(np.int8, st.integers(1, 20), elements=st.integers(-8, 7)))
def test_packed_integers_come_back(integers: np.ndarray) -> None:
    assert np.array_equal(stored(integers, INT4).numpy().astype(np.int8), integers)
    shifted = integers.astype(np.int32) + 8
    assert np.array_equal(stored(shifted, UINT4).numpy().astype(np.int32), shifted)
    assert stored(integers, INT4).nbytes == -(-integers.size // 2)


def test_binary_numbers_are_signs_times_the_mean_magnitude() -> None:
    array = np.array([[1.0, -3.0], [0.5, 0.5]], np.float32)
    params = fit_array(array, BINARY, PerAxis(axis=0), symmetric=True)
    assert params.scale.tolist() == [2.0, 0.5]
    assert dequantize(quantize(array, params), params).tolist() == [[2.0, -2.0], [0.5, 0.5]]
    assert bits_of(quantize(array, params)).tolist() == [0b1101]


def test_ranges_live_in_the_model() -> None:
    value = ir.Value(name="x")
    assert ranges.read(value) is None
    ranges.write(value, Range(low=-1.0, high=0.5))
    assert ranges.read(value) == Range(low=-1.0, high=0.5)
    for text in ("nonsense", "[1]", "[1, 0]", "[NaN, 1]", '["a", "b"]'):
        value.metadata_props[ranges.KEY] = text
        with pytest.raises(ModelError, match="calibrate the model again"):
            ranges.read(value)
