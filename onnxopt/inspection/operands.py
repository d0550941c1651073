"""Where the operators that know about quantization have their weights, scales and zero points."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, NamedTuple

Kind = Literal["static", "dynamic", "by input", "weights only"]


class Integer(NamedTuple):
    """An operator that takes quantized weights as they are; places are those of its inputs."""

    kind: Kind
    """Whether its left input is quantized by fixed scales, on the fly, as what makes it says, or
    not at all."""
    weight: int
    scale: int | None
    zero: int | None
    parameters: tuple[int, ...]
    """All scales and zero points."""


def _microsoft(name: str) -> tuple[str, str]:
    return "com.microsoft", name


INTEGER: MappingProxyType[tuple[str, str], Integer] = MappingProxyType(
    {
        ("", "ConvInteger"): Integer("by input", 1, None, 3, (2, 3)),
        ("", "MatMulInteger"): Integer("by input", 1, None, 3, (2, 3)),
        ("", "QLinearConv"): Integer("static", 3, 4, 5, (1, 2, 4, 5, 6, 7)),
        ("", "QLinearMatMul"): Integer("static", 3, 4, 5, (1, 2, 4, 5, 6, 7)),
        _microsoft("QGemm"): Integer("static", 3, 4, 5, (1, 2, 4, 5, 7, 8)),
        _microsoft("QAttention"): Integer("static", 1, 4, 7, (3, 4, 6, 7)),
        _microsoft("DynamicQuantizeMatMul"): Integer("dynamic", 1, 2, 3, (2, 3)),
        _microsoft("MatMulIntegerToFloat"): Integer("by input", 1, 3, 5, (2, 3, 4, 5)),
        _microsoft("DynamicQuantizeLSTM"): Integer("dynamic", 1, 8, 9, (8, 9, 10, 11)),
        _microsoft("MatMulNBits"): Integer("weights only", 1, 2, 3, (2, 3)),
    }
)
"""By domain and name."""

PARAMETERS: MappingProxyType[tuple[str, str], tuple[int, ...]] = MappingProxyType(
    {key: row.parameters for key, row in INTEGER.items()}
    | {
        (domain, name): (1, 2)
        for domain in ("", "com.microsoft")
        for name in ("QuantizeLinear", "DequantizeLinear")
    }
)
"""Which inputs are scales and zero points."""

PACKED = frozenset((_microsoft("MatMulNBits"), _microsoft("MatMulBnb4")))
"""Operators whose second input holds several weights a byte, of as many bits as they say."""
