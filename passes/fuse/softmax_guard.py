"""The guard that exporters put behind the softmax of an attention, where no row can need it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rule, Var

_DEPTH = 12
_MODERATE = 1e4
"""The largest factor that leaves activations far from overflowing."""
_COMPUTED = frozenset(("MatMul", "Gemm", "Einsum", "Conv", "LayerNormalization"))
_MOVED = frozenset(
    (
        "Cast",
        "Expand",
        "Flatten",
        "Gather",
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


class SoftmaxGuard(Rule):
    """``Where(IsNaN(s), 0, s)`` with ``s = Softmax(scores + mask)`` becomes s.

    A row of s is NaN only when a score is NaN or +inf, or when all of them are -inf. Assuming that
    activations are finite, as they are wherever the model's answer is of use, and below 1e30, the
    first cannot happen, and the second only by the mask: the rule applies where there is none,
    where it is bounded by the largest finite number (a sum of two such masks is not), or where it
    is a constant with a finite entry in every row.
    """

    since = 13

    def pattern(self, op: PatternOps, scores: Var) -> Op:
        weights = op.Softmax(scores, _name="weights")
        return op.Where(op.IsNaN(weights), 0, weights)

    def rewrite(self, op: Builder, scores: ir.Value, weights: ir.Value, root: ir.Node) -> ir.Value:
        node = _affine.producer(weights)
        rank = graph.rank(scores)
        if graph.attr_int(node, "axis", -1) not in (-1, None if rank is None else rank - 1):
            raise Decline("not a softmax of rows")
        zero = graph.static(root.inputs[1])
        if zero is None or any(d != 1 for d in zero) or len(zero) > (rank or 0):
            raise Decline("the zero may enlarge the result")
        if scores.dtype not in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
            raise Decline("the type overflows early")
        if not _finite(scores, float(np.finfo(scores.dtype.numpy()).max)):
            raise Decline("a row may be masked out as a whole")
        return weights


def _finite(scores: ir.Value, limit: float) -> bool:
    """Return whether every row of scores is known to keep a finite entry."""
    node = scores.producer()
    if node is not None and node.op_type == "Add" and not node.domain:
        for mask, rest in (node.inputs, node.inputs[::-1]):
            if _keeps_rows(mask) and _bound(rest, _DEPTH) == 0:
                return True
    bound = _bound(scores, _DEPTH)
    return bound is not None and bound <= limit


def _keeps_rows(mask: ir.Value | None) -> bool:
    """Return whether a mask is a constant with a finite entry, and no NaN or +inf, in each row."""
    found = graph.array(mask)
    if found is None or found.ndim == 0 or found.dtype.kind != "f":
        return False
    return bool(np.isfinite(found).any(axis=-1).all() and (found < np.inf).all())


def _bound(value: ir.Value | None, depth: int) -> float | None:
    """Return the largest magnitude of what is added to activations; None where unknown."""
    known = graph.array(value)
    if known is not None:
        if known.dtype.kind not in "fiub" or known.size == 0:
            return None
        largest = float(np.abs(known.astype(np.float64)).max())
        return largest if np.isfinite(largest) else None
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
        return _bound(node.inputs[0], depth)
    if node.op_type == "Where":
        return _largest([_bound(value, depth) for value in _branches(node)])
    bounds = [_bound(value, depth) for value in node.inputs]
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


def _branches(where: ir.Node) -> list[ir.Value | None]:
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
