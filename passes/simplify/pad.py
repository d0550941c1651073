"""Pads after one another."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify import _parts
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rest, Rule, Var


class PadPad(Rule):
    """Two Pads with one constant become one; both add to every side or leave it as it is."""

    since = 11

    def pattern(self, op: PatternOps, x: Var, inner: Rest, outer: Rest) -> Op:
        first, second = Attr("first", "constant"), Attr("second", "constant")
        return op.Pad(op.Pad(x, inner, mode=first, _name="y"), outer, mode=second)

    def rewrite(
        self, op: Builder, root: ir.Node, x: ir.Value, y: ir.Value, first: str, second: str
    ) -> ir.Value:
        node = y.producer()
        if node is None or first != "constant" or second != "constant":
            raise Decline("repeats the border")
        if _filling(node) != _filling(root):
            raise Decline("other constants")
        both = [(a + c, b + d) for (a, b), (c, d) in zip(_added(node), _added(root), strict=True)]
        total = np.array([side for sides in zip(*both, strict=True) for side in sides], np.int64)
        return op.Pad(x, total, root.inputs[2] if len(root.inputs) > 2 else None)


def _added(node: ir.Node) -> tuple[tuple[int, int], ...]:
    found = _parts.pads(node)
    if any(side < 0 for sides in found for side in sides):
        raise Decline("cuts something off")
    return found


def _filling(node: ir.Node) -> float:
    value = node.inputs[2] if len(node.inputs) > 2 else None
    found = 0.0 if value is None else graph.scalar(value)
    if found is None:
        raise Decline("the constant is not constant")
    return found
