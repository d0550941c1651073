"""The guard that exporters put behind the softmax of an attention, where no row can need it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine, _magnitude
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rule, Var


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
            if _magnitude.keeps_rows(mask) and _magnitude.bound(rest) == 0:
                return True
    bound = _magnitude.bound(scores)
    return bound is not None and bound <= limit
