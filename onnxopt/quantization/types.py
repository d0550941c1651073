"""Element types of quantized tensors, as rows."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import onnx_ir as ir

from onnxopt.errors import UsageError
from onnxopt.spec import nearest

TypeName = Literal[
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int4",
    "uint4",
    "int2",
    "uint2",
    "binary",
    "float8e4m3fn",
    "float8e5m2",
    "float4e2m1",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantType:
    """A narrow type a real number is stored in, as ``scale * (q - zero_point)``.

    The numbers q that it holds are integers, but for the floating-point types.
    """

    name: TypeName
    bits: int
    qmin: int
    """The lowest number that it holds."""
    qmax: int
    stored: ir.DataType
    """How a tensor holds it; ``binary`` has no type of its own and is packed into bytes."""
    since: int
    """The operator set from which QuantizeLinear and DequantizeLinear take it."""
    precision: int
    """Bits of an integer type that keeps as much of the signal of a layer's weights."""

    @property
    def signed(self) -> bool:
        """Whether it holds negative numbers."""
        return self.qmin < 0

    @property
    def floating(self) -> bool:
        """Whether its numbers lie closer together near zero."""
        return self.stored.is_floating_point()

    @property
    def zero_fixed(self) -> bool:
        """Whether zero points are always zero: of floating-point and of binary numbers."""
        return self.floating or self.bits == 1

    @property
    def held(self) -> np.dtype:
        """The type of an array that such numbers are computed in: int32 or float32."""
        return np.dtype(np.float32 if self.floating else np.int32)

    @property
    def centre(self) -> int:
        """The zero point of a symmetric tensor: 0, or the middle of an unsigned type."""
        return 0 if self.signed else (self.qmax + 1) // 2

    @property
    def reach(self) -> int:
        """The largest distance from ``centre`` that both signs have: 127 for int8."""
        return self.qmax - self.centre

    def narrowed(self, bits: int) -> QuantType:
        """Return the type with only so many of its bits used; itself where it has no more."""
        if bits >= self.bits:
            return self
        unused, centre = self.bits - bits, self.centre
        low, high = (self.qmin - centre) // 2**unused, (self.qmax - centre) // 2**unused
        return dataclasses.replace(self, qmin=centre + low, qmax=centre + high)

    def nearest(self, numbers: np.ndarray, least: int | None = None) -> np.ndarray:
        """Return the nearest numbers that it holds, at least ``least``; halves go to the even one.

        As QuantizeLinear does, and saturated like its integers.
        """
        if self.bits == 1:
            return np.where(numbers < 0, -1, 1).astype(self.held)
        within = np.clip(numbers, self.qmin if least is None else least, self.qmax)
        kept = within.astype(self.stored.numpy()) if self.floating else np.rint(within)
        return np.asarray(kept.astype(self.held))


def _integer(name: TypeName, bits: int, since: int) -> QuantType:
    low = 0 if name.startswith("u") else -(1 << bits - 1)
    return QuantType(
        name=name,
        bits=bits,
        qmin=low,
        qmax=low + (1 << bits) - 1,
        stored=ir.DataType[name.upper()],
        since=since,
        precision=bits,
    )


def _floating(name: TypeName, bits: int, most: int, since: int, precision: int) -> QuantType:
    return QuantType(
        name=name,
        bits=bits,
        qmin=-most,
        qmax=most,
        stored=ir.DataType[name.upper()],
        since=since,
        precision=precision,
    )


INT8 = _integer("int8", 8, since=10)
UINT8 = _integer("uint8", 8, since=10)
INT16 = _integer("int16", 16, since=21)
UINT16 = _integer("uint16", 16, since=21)
INT4 = _integer("int4", 4, since=21)
UINT4 = _integer("uint4", 4, since=21)
INT2 = _integer("int2", 2, since=25)
UINT2 = _integer("uint2", 2, since=25)
BINARY = QuantType(
    name="binary", bits=1, qmin=-1, qmax=1, stored=ir.DataType.UINT8, since=13, precision=1
)
"""-1 or +1 times a scale, nothing between."""
FLOAT8E4M3 = _floating("float8e4m3fn", 8, 448, since=19, precision=7)
FLOAT8E5M2 = _floating("float8e5m2", 8, 57344, since=19, precision=6)
FLOAT4E2M1 = _floating("float4e2m1", 4, 6, since=23, precision=4)
"""Zero, 0.5, 1, 1.5, 2, 3, 4, 6 and their opposites."""

TYPES = {
    found.name: found
    for found in (
        *(INT8, UINT8, INT16, UINT16, INT4, UINT4, INT2, UINT2, BINARY),
        *(FLOAT8E4M3, FLOAT8E5M2, FLOAT4E2M1),
    )
}

SINCE_AXIS = 13
"""The operator set from which a scale may vary along an axis."""

SINCE_BLOCK = 21
"""The operator set from which a scale may vary along blocks of an axis."""


_SINCE_BITS = 18
"""The operator set that has BitwiseAnd, with which binary weights are unpacked."""


def since(kind: QuantType, block: int) -> int:
    """Return the operator set that weights of a type need, with one scale a block or a channel."""
    if kind is BINARY:
        return _SINCE_BITS
    return max(kind.since, SINCE_BLOCK if block else SINCE_AXIS)


def named(name: str) -> QuantType:
    """Return the type of a name; UsageError suggests the nearest."""
    for known, found in TYPES.items():
        if known == name:
            return found
    raise UsageError(f"unknown quantized type '{name}'{nearest(name, TYPES)}")
