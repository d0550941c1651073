"""How weights are quantized: type, how far a scale reaches, and whether zero is in the middle."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.quantization.types import TYPES

_LARGEST_ZERO = 1 << 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """What can be said of a quantized weight without reading it."""

    dtype: str
    granularity: str
    """``per tensor``, ``per axis 0``, ``blocks of 32``; empty where the graph does not tell."""
    symmetric: bool | None
    """Whether zero stands in the middle of the type; None where the graph does not tell."""

    def __str__(self) -> str:
        balance = {True: "symmetric", False: "asymmetric", None: ""}[self.symmetric]
        return " ".join(part for part in (balance, self.dtype, self.granularity) if part)


def weight_scheme(
    node: ir.Node, weight: int = 0, scale: int | None = 1, zero: int | None = 2
) -> Scheme:
    """Describe the quantized weight at an input of a node; by default a DequantizeLinear's."""
    held = input_at(node, weight)
    scales = None if scale is None else input_at(node, scale)
    zeros = None if zero is None else input_at(node, zero)
    typed = (value for value in (held, zeros) if value is not None and value.dtype is not None)
    dtype = next((value.dtype.name.lower() for value in typed if value.dtype is not None), "")
    return Scheme(
        dtype=dtype,
        granularity=_granularity(node, scales if scales is not None else zeros),
        symmetric=_symmetric(dtype, zeros),
    )


def packed(node: ir.Node) -> Scheme:
    """Describe weights of a few bits that a node unpacks itself, in blocks along the depth."""
    bits = graph.attr_int(node, "bits", 4)
    zeros = input_at(node, 3)
    return Scheme(
        dtype=f"uint{bits}",
        granularity=f"blocks of {graph.attr_int(node, 'block_size', 32)}",
        symmetric=True if zeros is None else False if graph.tensor(zeros) is not None else None,
    )


def input_at(node: ir.Node, at: int) -> ir.Value | None:
    """Return an input, None where it is not given."""
    return node.inputs[at] if at < len(node.inputs) else None


def _granularity(node: ir.Node, scales: ir.Value | None) -> str:
    if node.op_type in ("ConvInteger", "MatMulInteger"):
        scales = _applied(node)
    if scales is None:
        return ""
    shape = graph.static(scales)
    if shape is None:
        return ""
    if int(np.prod(shape)) == 1:
        return "per tensor"
    block = graph.attr_int(node, "block_size", 0)
    if block:
        return f"blocks of {block}"
    dequantizer = node.op_type == "DequantizeLinear"
    axis = graph.attr_int(node, "axis", 1) if dequantizer else 0 if "Conv" in node.op_type else 1
    return f"per axis {axis}"


def _applied(node: ir.Node) -> ir.Value | None:
    """Return the weight's scale, by which the sums of an integer product are multiplied later.

    It stands in one constant, or in one that is multiplied by the other operand's scale first.
    """
    for cast in _readers(node, "Cast"):
        for product in _readers(cast, "Mul"):
            factors = [value for value in product.inputs if value is not cast.outputs[0]]
            for value in factors:
                maker = None if value is None else value.producer()
                if maker is not None and maker.op_type == "Mul":
                    factors += maker.inputs
            held = [value for value in factors if value is not None and graph.tensor(value)]
            if held:
                return held[0]
    return None


def _readers(node: ir.Node, op_type: str) -> list[ir.Node]:
    return [use.node for use in node.outputs[0].uses() if use.node.op_type == op_type]


def _symmetric(dtype: str, zeros: ir.Value | None) -> bool | None:
    kind = next((found for name, found in TYPES.items() if name == dtype), None)
    if kind is None:
        return None
    if zeros is None:
        return kind.signed
    held = graph.array(zeros, at_most=_LARGEST_ZERO)
    if held is None:
        return None
    return bool((held.astype(np.int32) == kind.centre).all())
