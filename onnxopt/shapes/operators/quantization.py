"""Quantizing, dequantizing, and operators on quantized tensors."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.shapes.call import Call, Row
from onnxopt.shapes.fact import Fact

UINT8 = ir.DataType.UINT8
FLOAT = ir.DataType.FLOAT


def quantize(call: Call) -> Fact:
    """Keep the shape; the zero point, or ``output_dtype``, says the type (uint8 by default)."""
    given = call.integer("output_dtype", 0)
    dtype = ir.DataType(given) if given else call.dtype(2) if call.has(2) else UINT8
    return Fact(dtype, call.shape(0))


def dequantize(call: Call) -> Fact:
    """Keep the shape; the scale, or ``output_dtype``, says the type."""
    given = call.integer("output_dtype", 0)
    return Fact(ir.DataType(given) if given else call.dtype(1), call.shape(0))


def _dynamic_quantize(call: Call) -> Sequence[Fact]:
    """Return the tensor in uint8, its scale and its zero point."""
    return [Fact(UINT8, call.shape(0)), Fact(FLOAT, ()), Fact(UINT8, ())]


ROWS: dict[str, Row] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": _dynamic_quantize,
}
