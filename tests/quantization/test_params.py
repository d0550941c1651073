"""Scales, zero points and packing against what ONNX Runtime's operators compute."""

from __future__ import annotations

import dataclasses

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
from onnxopt.quantization.types import (
    BINARY,
    FLOAT4E2M1,
    FLOAT8E4M3,
    FLOAT8E5M2,
    INT4,
    INT8,
    TYPES,
    UINT4,
    UINT8,
    QuantType,
)

INTEGERS = [kind for kind in TYPES.values() if kind is not BINARY and not kind.floating]
FLOATS = [FLOAT8E4M3, FLOAT8E5M2, FLOAT4E2M1]
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


@settings(max_examples=100)
@given(matrices, st.sampled_from([UINT8, INT8, FLOAT8E4M3, FLOAT8E5M2]), st.booleans())
def test_what_is_stored_is_what_quantize_linear_says(
    array: np.ndarray, kind: QuantType, symmetric: bool
) -> None:
    params = fit_array(array, kind, PerTensor(), symmetric=symmetric)
    zero = params.zero_point.astype(kind.stored.numpy())
    node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
    feeds = {"x": array, "scale": params.scale, "zero": zero}
    theirs = list(ReferenceEvaluator(node).run(None, feeds))
    assert np.array_equal(quantize(array, params), theirs[0].astype(kind.held))


def levels(kind: QuantType) -> np.ndarray:
    """Return every finite number of a floating-point type, from its codes."""
    codes = np.arange(1 << kind.bits, dtype=np.uint8).view(kind.stored.numpy())
    found = np.unique(codes.astype(np.float32))
    return found[np.isfinite(found)]


@settings(max_examples=150)
@given(matrices, granularities, st.sampled_from(FLOATS), st.booleans())
def test_floating_point_types_take_their_nearest_number(
    array: np.ndarray, granularity: Granularity, kind: QuantType, symmetric: bool
) -> None:
    params = fit_array(array, kind, granularity, symmetric=symmetric)
    held = quantize(array, params)
    assert np.isin(held, levels(kind)).all()
    scaled = array / granularity.spread(params.scale, array.shape)
    least = np.abs(scaled[..., None] - levels(kind)).min(axis=-1)
    assert np.all(np.abs(held - scaled) <= least + 1e-6 * kind.qmax)
    assert not params.zero_point.any()


def test_halves_between_floating_point_numbers_go_to_the_even_one() -> None:
    between = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -5.0, 7.0, -9.0])
    want = [0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, -4.0, 6.0, -6.0]
    assert FLOAT4E2M1.nearest(between).tolist() == want


@pytest.mark.parametrize("kind", FLOATS, ids=lambda kind: kind.name)
def test_a_floating_point_type_is_as_fine_as_it_says(kind: QuantType) -> None:
    weights = np.random.default_rng(0).standard_normal((64, 1024)).astype(np.float32)

    def lost(bits: QuantType) -> float:
        params = fit_array(weights, bits, PerAxis(axis=0), symmetric=True)
        return float(np.square(rounded(weights, params) - weights).sum())

    by_bits = {
        bits: lost(
            dataclasses.replace(INT8, bits=bits, qmin=-(1 << bits - 1), qmax=(1 << bits - 1) - 1)
        )
        for bits in range(2, 9)
    }
    mine = lost(kind)
    assert by_bits[kind.precision] / 4 < mine < by_bits[kind.precision - 1]


@given(st.floats(-100, 0), st.floats(0, 100), st.sampled_from([*INTEGERS, *FLOATS]), st.booleans())
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


@pytest.mark.parametrize("kind", FLOATS, ids=lambda kind: kind.name)
def test_stored_floating_point_numbers_come_back(kind: QuantType) -> None:
    numbers = levels(kind)[1:]  # an odd count
    tensor = stored(numbers, kind)
    assert tensor.dtype == kind.stored
    assert np.array_equal(tensor.numpy().astype(np.float32), numbers)
    assert tensor.nbytes == -(-numbers.size * kind.bits // 8)


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
