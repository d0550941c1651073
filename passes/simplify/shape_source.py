"""Shapes read from where they first appear, so that what was computed only for its shape dies."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import ELEMENTWISE
from onnxopt.passes.simplify._facts import Extent, extents
from onnxopt.rewrite import Attr, Builder, Const, Decline, Op, PatternOps, Rule, Var


class Upstream(Rule):
    """``Shape(f(x))`` becomes ``Shape(x)`` where ``f`` keeps the shape of ``x``.

    Because it treats each element alone, or because both shapes are known to be one. A value that
    one node reads gets no further reader unless ``f`` dies: runtimes fuse along such values.
    """

    def pattern(self, op: PatternOps, y: Var) -> Op:
        return op.Shape(y)

    def rewrite(self, op: Builder, root: ir.Node, y: ir.Value) -> ir.Value:
        node = y.producer()
        if node is None:
            raise Decline("not computed here")
        dies = not y.is_graph_output() and all(user.op_type == "Shape" for user in y.consumers())
        near = [source for source in node.inputs if source is not None and _keeps(node, source, y)]
        for source in near:
            if dies or source.is_graph_input() or len(set(source.consumers())) > 1:
                return op.copy(root, [source])
        for source in _ancestors(y):
            if graph.same_shape(source, y) and (source.is_graph_input() or _shape_is_read(source)):
                return op.copy(root, [source])
        raise Decline("no value before it has this shape, or none that has several readers")


def _keeps(node: ir.Node, source: ir.Value, y: ir.Value) -> bool:
    alone = node.op_type in ELEMENTWISE and not node.domain and source is node.inputs[0]
    return graph.tensor(source) is None and (alone or graph.same_shape(source, y))


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


class OfAncestor(Rule):
    """``Gather(Shape(y), i)`` becomes ``Gather(Shape(x), j)`` for an ancestor ``x`` of ``y``.

    One axis of ``x`` must have the extent that is read, and ``Shape(x)`` must be there already.
    """

    shared = True

    def pattern(self, op: PatternOps, y: Var, i: Const) -> Op:
        return op.Gather(op.Shape(y, _name="shape"), i)

    def rewrite(self, op: Builder, y: ir.Value, i: ir.Value, shape: ir.Value) -> ir.Value:
        index, own, node = graph.array(i, at_most=1), extents(y), shape.producer()
        if index is None or index.size != 1 or own is None or node is None or node.attributes:
            raise Decline("not one extent of a known shape")
        wanted = own[int(index.reshape(()))]
        if wanted is None:
            raise Decline("the extent is not known")
        for source in _ancestors(y):
            axis = _axis(source, wanted)
            if axis is not None and _shape_is_read(source):
                return op.Gather(op.Shape(source), np.full(index.shape, axis), axis=0)
        raise Decline("no ancestor whose shape is read has this extent")


_FARTHEST = 64


def _ancestors(value: ir.Value) -> list[ir.Value]:
    """Return values that a value is computed from, the nearest first."""
    found: dict[ir.Value, None] = {}
    queue = [value]
    while queue and len(found) < _FARTHEST:
        node = queue.pop(0).producer()
        for source in node.inputs if node is not None else ():
            if source is not None and source not in found and graph.tensor(source) is None:
                found[source] = None
                queue.append(source)
    return list(found)


def _axis(value: ir.Value, wanted: Extent) -> int | None:
    shape = extents(value)
    return None if shape is None or wanted not in shape else shape.index(wanted)


def _shape_is_read(value: ir.Value) -> bool:
    return any(
        user.op_type == "Shape" and not user.domain and not user.attributes
        for user in value.consumers()
    )


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
