"""Concat and Split beside one another."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._parts import from_front
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rest, Rule, Var


class Nested(Rule):
    """``Concat(a, Concat(b, c), d)`` along one axis becomes ``Concat(a, b, c, d)``.

    Where nothing else reads the inner ones.
    """

    def pattern(self, op: PatternOps, parts: Rest) -> Op:
        return op.Concat(parts, axis=Attr("axis"))

    def rewrite(self, op: Builder, parts: tuple[ir.Value, ...], axis: int) -> ir.Value:
        flat: list[ir.Value | None] = []
        for part in parts:
            inner = _inner(part, axis)
            flat.extend([part] if inner is None else inner.inputs)
        if len(flat) == len(parts):
            raise Decline("no Concat inside")
        return op.Concat(*flat, axis=axis)


class EmptyPart(Rule):
    """A part without elements along the axis is left out of a Concat; one part must remain."""

    def pattern(self, op: PatternOps, parts: Rest) -> Op:
        return op.Concat(parts, axis=Attr("axis"))

    def rewrite(self, op: Builder, parts: tuple[ir.Value, ...], axis: int) -> ir.Value:
        kept = [part for part in parts if not _empty(part, axis)]
        if not kept or len(kept) == len(parts):
            raise Decline("every part may hold something")
        return op.Concat(*kept, axis=axis)


class OfSplit(Rule):
    """``Concat`` of all outputs of ``Split(x)`` in order, along its axis, becomes ``x``."""

    def pattern(self, op: PatternOps, parts: Rest) -> Op:
        return op.Concat(parts, axis=Attr("axis"))

    def rewrite(self, op: Builder, parts: tuple[ir.Value, ...], axis: int) -> ir.Value:
        split = parts[0].producer() if parts else None
        if split is None or split.op_type != "Split" or split.domain:
            raise Decline("not of a Split")
        if tuple(split.outputs) != parts:
            raise Decline("not all outputs, or another order")
        rank = graph.rank(split.inputs[0])
        along = from_front((graph.attr_int(split, "axis", 0),), rank)
        source = split.inputs[0]
        if source is None or along != from_front((axis,), rank):
            raise Decline("another axis")
        return source


class SplitOfConcat2(Rule):
    """``Split(Concat(a, b))`` at the seam becomes ``a`` and ``b``."""

    shared = True

    def pattern(self, op: PatternOps, a: Var, b: Var, rest: Rest) -> tuple[object, object]:
        split = op.Split(op.Concat(a, b, axis=Attr("axis")), rest)
        return split.output(0), split.output(1)

    def rewrite(
        self, op: Builder, root: ir.Node, a: ir.Value, b: ir.Value, axis: int
    ) -> tuple[ir.Value, ...]:
        _seams(root, (a, b), axis)
        return a, b


class SplitOfConcat3(Rule):
    """``Split(Concat(a, b, c))`` at the seams becomes ``a``, ``b`` and ``c``."""

    shared = True

    def pattern(self, op: PatternOps, a: Var, b: Var, c: Var, rest: Rest) -> tuple[object, ...]:
        split = op.Split(op.Concat(a, b, c, axis=Attr("axis")), rest)
        return split.output(0), split.output(1), split.output(2)

    def rewrite(
        self, op: Builder, root: ir.Node, a: ir.Value, b: ir.Value, c: ir.Value, axis: int
    ) -> tuple[ir.Value, ...]:
        _seams(root, (a, b, c), axis)
        return a, b, c


def _inner(part: ir.Value, axis: int) -> ir.Node | None:
    node = part.producer()
    if node is None or node.op_type != "Concat" or node.domain or not graph.sole_use(part):
        return None
    found = graph.attr_int(node, "axis", 0)
    if found == axis:
        return node
    rank = graph.rank(part)
    return node if rank is not None and (found - axis) % rank == 0 else None


def _empty(part: ir.Value, axis: int) -> bool:
    shape = graph.dims(part)
    return shape is not None and -len(shape) <= axis < len(shape) and shape[axis] == 0


def _seams(split: ir.Node, parts: tuple[ir.Value, ...], axis: int) -> None:
    """Raise Decline unless a Split gives back the parts that were joined along an axis."""
    rank = graph.rank(parts[0])
    if len(split.outputs) != len(parts):
        raise Decline("another number of parts")
    if from_front((graph.attr_int(split, "axis", 0),), rank) != from_front((axis,), rank):
        raise Decline("another axis")
    for part, output in zip(parts, split.outputs, strict=True):
        before, after = graph.dims(part), graph.dims(output)
        if before is None or after is None or not isinstance(before[axis], int):
            raise Decline("the extent is not known")
        if before[axis] != after[axis]:
            raise Decline("parts of other extents")
