"""Scales and zero points, and the arithmetic of QuantizeLinear and DequantizeLinear on arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from onnxopt.quantization.granularity import Granularity, PerBlock, PerTensor
from onnxopt.quantization.types import BINARY, QuantType

_LEAST_SCALE = float(np.finfo(np.float32).tiny) * 2**16
"""Below it a scale, or what it multiplies, leaves the normal numbers of float32."""

_PART = 1 << 18
"""Elements that are quantized together: what is made of them on the way stays in a cache."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Params:
    """How a tensor is quantized: ``x = scale * (q - zero_point)``.

    ``scale`` (float32) and ``zero_point`` (int32) have the shape that the granularity says.
    """

    type: QuantType
    granularity: Granularity
    scale: np.ndarray
    zero_point: np.ndarray

    @property
    def low(self) -> np.ndarray:
        """The lowest number that it holds."""
        return np.asarray(self.scale * (self.type.qmin - self.zero_point))

    @property
    def high(self) -> np.ndarray:
        """The highest number that it holds."""
        return np.asarray(self.scale * (self.type.qmax - self.zero_point))


def fit(
    low: np.ndarray | float,
    high: np.ndarray | float,
    kind: QuantType,
    *,
    symmetric: bool,
    granularity: Granularity | None = None,
) -> Params:
    """Return the finest parameters that hold every number from ``low`` to ``high``, and zero.

    Symmetric ones reach equally far to both sides, with the zero point in the centre; -128 of int8
    stays unused. Binary and floating-point types always do. A range that is empty gets scale 1.
    """
    least = np.minimum(np.asarray(low, np.float64), 0.0)
    most = np.maximum(np.asarray(high, np.float64), 0.0)
    symmetric = symmetric or kind.zero_fixed
    if symmetric:
        scale = np.maximum(-least, most) / kind.reach
        zero = np.full(scale.shape, kind.centre)
    else:
        scale = (most - least) / (kind.qmax - kind.qmin)
        safe = np.where(scale > 0, scale, 1.0)
        zero = np.clip(np.rint(kind.qmin - least / safe), kind.qmin, kind.qmax)
    empty = (least == 0) & (most == 0)
    scale = np.where(empty, 1.0, np.maximum(scale, _LEAST_SCALE))
    return Params(
        type=kind,
        granularity=granularity or PerTensor(),
        scale=scale.astype(np.float32),
        zero_point=np.where(empty, kind.centre if symmetric else zero, zero).astype(np.int32),
    )


def fit_array(
    array: np.ndarray, kind: QuantType, granularity: Granularity, *, symmetric: bool
) -> Params:
    """Return the parameters that hold every number of an array.

    The scale of binary numbers is the mean of the magnitudes, which minimizes the squared error
    (Rastegari et al., XNOR-Net, 2016).
    """
    if kind is BINARY:
        magnitude = np.abs(array, dtype=np.float64)
        scale = granularity.means(magnitude)
        scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
        zero = np.zeros(scale.shape, np.int32)
        return Params(type=kind, granularity=granularity, scale=scale, zero_point=zero)
    low, high = granularity.extents(array)
    return fit(low, high, kind, symmetric=symmetric, granularity=granularity)


def quantize(array: np.ndarray, params: Params) -> np.ndarray:
    """Return what is stored: rounded half to even and saturated, as QuantizeLinear does.

    Integers are int32; numbers of a floating-point type are float32.
    """
    integers = np.empty(array.shape, params.type.held)
    for rows in _row_ranges(array, params.granularity):
        at = slice(rows.start, rows.stop) if array.ndim else ()
        integers[at] = _quantized(array[at], _of_rows(params, rows))
    return integers


def _row_ranges(array: np.ndarray, granularity: Granularity) -> Iterator[range]:
    """Cut an array along axis 0 into parts that fit into a cache, whole blocks each."""
    if not array.ndim or array.size <= _PART:
        yield range(len(array) if array.ndim else 1)
        return
    step = max(_PART * len(array) // array.size, 1)
    if isinstance(granularity, PerBlock) and granularity.axis == 0:
        step = -(-step // granularity.size) * granularity.size
    for start in range(0, len(array), step):
        yield range(start, min(start + step, len(array)))


def _of_rows(params: Params, rows: range) -> Params:
    part = params.granularity.rows
    return dataclasses.replace(
        params,
        scale=part(params.scale, rows.start, rows.stop),
        zero_point=part(params.zero_point, rows.start, rows.stop),
    )


def _quantized(array: np.ndarray, params: Params) -> np.ndarray:
    spread, kind = params.granularity.spread, params.type
    raw = array.astype(np.float32, copy=False) / spread(params.scale, array.shape)
    if kind.zero_fixed:
        return kind.nearest(raw)
    raw = np.rint(raw) + spread(params.zero_point.astype(np.float32), array.shape)
    return np.asarray(np.clip(raw, kind.qmin, kind.qmax).astype(kind.held))


def dequantize(integers: np.ndarray, params: Params) -> np.ndarray:
    """Return the numbers that what is stored stands for, float32."""
    scale = params.granularity.spread(params.scale, integers.shape)
    zero = params.granularity.spread(params.zero_point, integers.shape)
    numbers: np.ndarray = (integers - zero).astype(np.float32) * scale
    return numbers


def rounded(array: np.ndarray, params: Params) -> np.ndarray:
    """Return the nearest numbers that the parameters hold."""
    return dequantize(quantize(array, params), params)
