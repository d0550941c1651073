"""Transposes after one another, and those that move no data."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._facts import reshape_target
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rule, Var


class TransposeTranspose(Rule):
    """``Transpose(Transpose(x, p), q)`` becomes ``Transpose(x, [p[i] for i in q])``.

    It becomes ``x`` where that is no change; only then may others read the inner one.
    """

    shared = True

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Transpose(
            op.Transpose(x, perm=Attr("first"), _name="between"), perm=Attr("second")
        )

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        between: ir.Value,
        first: tuple[int, ...],
        second: tuple[int, ...],
    ) -> ir.Value:
        both = [first[axis] for axis in second]
        if both == list(range(len(both))):
            return x
        if not graph.sole_use(between):
            raise Decline("the inner Transpose stays")
        return op.Transpose(x, perm=both)


class MovesOnes(Rule):
    """A Transpose that leaves the axes of more than one element in order becomes a Reshape.

    ``Transpose(x of [1, 7, 64, 1], perm=[1, 0, 3, 2])`` is ``Reshape(x, [7, 1, 1, 64])``, which
    copies nothing.
    """

    since = 5

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Transpose(x, perm=Attr("perm"))

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, perm: tuple[int, ...]) -> ir.Value:
        shape = graph.dims(x)
        if shape is None or len(shape) != len(perm):
            raise Decline("the shape is not known")
        moved = [axis for axis in perm if shape[axis] != 1]
        if moved != sorted(moved):
            raise Decline("moves data, or may")
        return op.Reshape(x, reshape_target(x, root.outputs[0]))
