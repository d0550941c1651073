"""Shapes read from where they first appear, so that what was computed only for its shape dies."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import ELEMENTWISE
from onnxopt.passes.simplify._facts import same
from onnxopt.rewrite import Attr, Builder, Const, Decline, Op, PatternOps, Rule, Var


class Upstream(Rule):
    """``Shape(f(x))`` becomes ``Shape(x)`` where ``f`` keeps the shape of ``x``.

    Because it treats each element alone, or because both shapes are known to be one.
    """

    def pattern(self, op: PatternOps, y: Var) -> Op:
        return op.Shape(y)

    def rewrite(self, op: Builder, root: ir.Node, y: ir.Value) -> ir.Value:
        node = y.producer()
        if node is None or node.graph is not root.graph:
            raise Decline("not computed here")
        if node.op_type in ELEMENTWISE and not node.domain and node.inputs[0] is not None:
            return op.copy(root, [node.inputs[0]])
        for source in node.inputs:
            if source is not None and graph.tensor(source) is None and same(source, y):
                return op.copy(root, [source])
        raise Decline("no input of this shape")


class OfReshape(Rule):
    """``Shape(Reshape(x, s))`` becomes ``s`` where it is constant and holds neither 0 nor -1.

    A target that was computed may hold either, and stays.
    """

    shared = True

    def pattern(self, op: PatternOps, x: Var, s: Const) -> Op:
        return op.Shape(op.Reshape(x, s))

    def rewrite(self, op: Builder, root: ir.Node, s: ir.Value) -> ir.Value:
        found = graph.ints(s)
        if found is None or any(extent < 1 for extent in found):
            raise Decline("copies an extent, or leaves one open")
        if "start" in root.attributes or "end" in root.attributes:
            raise Decline("a part of the shape")
        return s


class OfTranspose(Rule):
    """``Gather(Shape(Transpose(x, perm)), i)`` becomes ``Gather(Shape(x), perm[i])``."""

    shared = True

    def pattern(self, op: PatternOps, x: Var, i: Const) -> Op:
        shape = op.Shape(op.Transpose(x, perm=Attr("perm")), _name="shape")
        return op.Gather(shape, i, axis=Attr("axis", 0))

    def rewrite(
        self, op: Builder, x: ir.Value, i: ir.Value, shape: ir.Value, perm: tuple[int, ...]
    ) -> ir.Value:
        indices, node = graph.array(i, at_most=64), shape.producer()
        if indices is None or node is None or node.attributes:
            raise Decline("indices not constant, or a part of the shape")
        picked = np.array(perm, dtype=np.int64)[indices]
        return op.Gather(op.Shape(x), picked, axis=0)


class GatherUnsqueeze(Rule):
    """``Unsqueeze(Gather(v, i), 0)`` of a vector becomes ``Gather(v, [i])``."""

    since = 13
    shared = True

    def pattern(self, op: PatternOps, v: Var, i: Const) -> Op:
        return op.Unsqueeze(op.Gather(v, i), 0)

    def rewrite(self, op: Builder, v: ir.Value, i: ir.Value) -> ir.Value:
        index = graph.array(i, at_most=1)
        if index is None or index.ndim or graph.rank(v) != 1:
            raise Decline("not one element of a vector")
        return op.Gather(v, index.reshape(1), axis=0)
