"""Element types of quantized tensors, as rows."""

from __future__ import annotations

import dataclasses
from typing import Literal

import onnx_ir as ir

from onnxopt.errors import UsageError
from onnxopt.spec import nearest

TypeName = Literal["int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2", "binary"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantType:
    """An integer type a real number is stored in, as ``scale * (q - zero_point)``."""

    name: TypeName
    bits: int
    qmin: int
    qmax: int
    stored: ir.DataType
    """How a tensor holds it; ``binary`` has no type of its own and is packed into bytes."""
    since: int
    """The operator set from which QuantizeLinear and DequantizeLinear take it."""

    @property
    def signed(self) -> bool:
        """Whether it holds negative numbers."""
        return self.qmin < 0

    @property
    def centre(self) -> int:
        """The zero point of a symmetric tensor: 0, or the middle of an unsigned type."""
        return 0 if self.signed else (self.qmax + 1) // 2

    @property
    def reach(self) -> int:
        """The largest distance from ``centre`` that both signs have: 127 for int8."""
        return self.qmax - self.centre


def _integer(name: TypeName, bits: int, since: int) -> QuantType:
    low = 0 if name.startswith("u") else -(1 << bits - 1)
    return QuantType(
        name=name,
        bits=bits,
        qmin=low,
        qmax=low + (1 << bits) - 1,
        stored=ir.DataType[name.upper()],
        since=since,
    )


INT8 = _integer("int8", 8, since=10)
UINT8 = _integer("uint8", 8, since=10)
INT16 = _integer("int16", 16, since=21)
UINT16 = _integer("uint16", 16, since=21)
INT4 = _integer("int4", 4, since=21)
UINT4 = _integer("uint4", 4, since=21)
INT2 = _integer("int2", 2, since=25)
UINT2 = _integer("uint2", 2, since=25)
BINARY = QuantType(name="binary", bits=1, qmin=-1, qmax=1, stored=ir.DataType.UINT8, since=13)
"""-1 or +1 times a scale, nothing between."""

TYPES = {
    found.name: found for found in (INT8, UINT8, INT16, UINT16, INT4, UINT4, INT2, UINT2, BINARY)
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
