"""A transposition of matrices that are first gathered into one batch, without the gathering."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rule, Var


class BatchedTranspose(Rule):
    """``Reshape(Transpose(Reshape(x)))`` becomes a Transpose of the last two axes of x.

    Where the first reshape gathers the leading axes, ``[..., m, n]`` to ``[p, m, n]``, and the
    second spreads them out again, ``[p, n, m]`` to ``[..., n, m]``.
    """

    def pattern(self, op: PatternOps, x: Var, gathered: Var, shape: Var) -> Op:
        batch = op.Reshape(x, gathered, _name="batch")
        return op.Reshape(op.Transpose(batch, perm=[0, 2, 1]), shape, _name="result")

    def rewrite(self, op: Builder, x: ir.Value, batch: ir.Value, result: ir.Value) -> ir.Value:
        before, inside, after = graph.dims(x), graph.dims(batch), graph.dims(result)
        if before is None or inside is None or after is None or None in (*before, *after):
            raise Decline("a shape is unknown")
        if len(before) < 3 or inside[1:] != before[-2:]:
            raise Decline("the first reshape does not keep the matrices")
        if after != (*before[:-2], before[-1], before[-2]):
            raise Decline("the second reshape does not restore the leading axes")
        rank = len(before)
        return op.Transpose(x, perm=[*range(rank - 2), rank - 1, rank - 2])
