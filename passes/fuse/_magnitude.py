"""How large the values are that are added to activations: what a mask may hide."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph

_DEPTH = 12
_MODERATE = 1e4
"""The largest factor that leaves activations far from overflowing."""
_COMPUTED = frozenset(("MatMul", "Gemm", "Einsum", "Conv", "LayerNormalization"))
_INTEGERS = (ir.DataType.INT32, ir.DataType.INT64)
_MOVED = frozenset(
    (
        "Cast",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "Identity",
        "Neg",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    )
)


def keeps_rows(mask: ir.Value | None) -> bool:
    """Return whether a mask is a constant with a finite entry, and no NaN or +inf, in each row."""
    found = graph.array(mask)
    if found is None or found.ndim == 0 or found.dtype.kind != "f":
        return False
    return bool(np.isfinite(found).any(axis=-1).all() and (found < np.inf).all())


def bound(value: ir.Value | None, depth: int = _DEPTH) -> float | None:
    """Return the largest magnitude of what is added to activations; None where unknown."""
    known = graph.array(value)
    if known is not None:
        if known.dtype.kind not in "fiub" or known.size == 0:
            return None
        largest = float(np.abs(known.astype(np.float64)).max())
        return largest if np.isfinite(largest) else None
    if value is not None and value.dtype in _INTEGERS:
        return 2.0**63
    node = None if value is None else value.producer()
    if value is None or node is None or node.domain or depth == 0:
        return 1.0 if value is not None and value.dtype == ir.DataType.BOOL else None
    if value.dtype == ir.DataType.BOOL:
        return 1.0
    if node.op_type in _COMPUTED:
        return 0.0
    return _combined(node, depth - 1)


def _combined(node: ir.Node, depth: int) -> float | None:
    if node.op_type in _MOVED:
        return bound(node.inputs[0], depth)
    if node.op_type == "Where":
        return _largest([bound(value, depth) for value in branches(node)])
    bounds = [bound(value, depth) for value in node.inputs]
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds):
        return None
    match node.op_type:
        case "Add" | "Sub":
            return sum(known)
        case "Mul" if 0 not in known or max(known) <= _MODERATE:
            return float(np.prod(known))
        case "Div" if known[0] == 0 and _moderate_divisor(node.inputs[1]):
            return 0.0
        case "Concat" | "Max" | "Min":
            return max(known)
        case _:
            return None


def branches(where: ir.Node) -> list[ir.Value | None]:
    """Return what a Where can choose: one branch where its condition is constant."""
    condition = graph.array(where.inputs[0])
    if condition is not None and condition.all():
        return [where.inputs[1]]
    if condition is not None and not condition.any():
        return [where.inputs[2]]
    return [where.inputs[1], where.inputs[2]]


def _largest(bounds: list[float | None]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return max(known) if len(known) == len(bounds) else None


def _moderate_divisor(value: ir.Value | None) -> bool:
    divisor = graph.scalar(value)
    return divisor is not None and abs(divisor) >= 1 / _MODERATE
