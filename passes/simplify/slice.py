"""Slices after one another."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.passes.simplify import _parts
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rest, Rule, Var


class SliceSlice(Rule):
    """``Slice(Slice(x))`` becomes one Slice.

    Of constant bounds; along an axis of both, these count from the front and go forward:
    ``[s1:e1:t1][s2:e2:t2]`` is ``[s1 + s2 t1 : min(e1, s1 + e2 t1) : t1 t2]``.
    """

    def pattern(self, op: PatternOps, x: Var, inner: Rest, outer: Rest) -> Op:
        return op.Slice(op.Slice(x, inner, _name="y"), outer)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
        node = y.producer()
        if node is None:
            raise Decline("not computed")
        both = _parts.cuts(node)
        for axis, cut in _parts.cuts(root).items():
            first = both.get(axis)
            if first is not None and not (first.plain and cut.plain):
                raise Decline("counts from the end, or goes backward")
            both[axis] = cut if first is None else first.then(cut)
        return _parts.slice_(op, x, both)
