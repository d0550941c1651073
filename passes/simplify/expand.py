"""Expands that broadcasting makes needless, and those after one another."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import BROADCAST
from onnxopt.passes.simplify._facts import broadcast, extents
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rest, Rule, Var
from onnxopt.shapes import symbolic_value


class BeforeBroadcasting(Rule):
    """``Expand(x, shape) + y`` becomes ``x + y`` where the result has the shape it had.

    So for every operator that broadcasts all its inputs, in any of their places.
    """

    since = 8
    reads = ("Expand",)

    def pattern(self, op: PatternOps, rest: Rest) -> Op:
        return op.one_of(*BROADCAST)(rest)

    def rewrite(self, op: Builder, root: ir.Node, rest: tuple[ir.Value | None, ...]) -> ir.Value:
        wanted = extents(root.outputs[0])
        if wanted is None or None in wanted:
            raise Decline("the shape is not known")
        for place, value in enumerate(rest):
            node = None if value is None else value.producer()
            if node is None or node.op_type != "Expand" or node.domain:
                continue
            inputs = [*rest[:place], node.inputs[0], *rest[place + 1 :]]
            shapes = [extents(operand) for operand in inputs]
            known = [shape for shape in shapes if shape is not None]
            if len(known) == len(shapes) and broadcast(*known) == wanted:
                return op.copy(root, inputs)
        raise Decline("no Expand, or one that is needed")


class ExpandExpand(Rule):
    """``Expand(Expand(x, s), t)`` of constant shapes becomes ``Expand(x, broadcast(s, t))``."""

    def pattern(self, op: PatternOps, x: Var, inner: Var, outer: Var) -> Op:
        return op.Expand(op.Expand(x, inner), outer)

    def rewrite(self, op: Builder, x: ir.Value, inner: ir.Value, outer: ir.Value) -> ir.Value:
        first, second = graph.ints(inner), graph.ints(outer)
        if first is None or second is None:
            raise Decline("the shapes are not constant")
        try:
            both = np.broadcast_shapes(first, second)
        except ValueError as problem:
            raise Decline("the shapes do not go together") from problem
        return op.Expand(x, np.array(both, dtype=np.int64))


class KnownShape(Rule):
    """``Expand(x, computed)`` becomes ``Expand(x, constant)`` where shapes say what it holds.

    An axis that keeps its extent is written as 1.
    """

    def pattern(self, op: PatternOps, x: Var, shape: Var) -> Op:
        return op.Expand(x, shape)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, shape: ir.Value) -> ir.Value:
        before, after = extents(x), extents(root.outputs[0])
        if graph.tensor(shape) is not None or before is None or after is None:
            raise Decline("constant already, or shapes not known")
        padded = (1,) * (len(after) - len(before)) + before
        written = [
            extent if isinstance(extent, int) else 1 if extent == old and extent else None
            for extent, old in zip(after, padded, strict=True)
        ]
        numbers = [entry for entry in written if entry is not None]
        if len(numbers) != len(written):
            raise Decline("an extent is not known")
        return op.Expand(x, np.array(numbers, dtype=np.int64))


class Filled(Rule):
    """``ConstantOfShape(s)`` of a computed shape becomes ``Expand(constant, s)``."""

    since = 9

    def pattern(self, op: PatternOps, shape: Var) -> Op:
        return op.ConstantOfShape(shape)

    def rewrite(self, op: Builder, root: ir.Node, shape: ir.Value) -> ir.Value:
        if graph.tensor(shape) is not None:
            raise Decline("constant, to be folded")
        held = root.attributes.get("value")
        number = np.zeros((1,), np.float32) if held is None else held.as_tensor().numpy()
        kind = ir.DataType.FLOAT if held is None else held.as_tensor().dtype
        return op.Expand(op.constant(number.reshape(()), kind), shape)


class AfterElementwise(Rule):
    """``Cast(Expand(x, s))`` becomes ``Expand(Cast(x), s)``, as does Not: computed once an element.

    And so does a condition, ``Where(Expand(c, s), x, y)``.
    """

    since = 13

    def pattern(self, op: PatternOps, x: Var, s: Var, rest: Rest) -> Op:
        return op.one_of("Cast", "Not", "Where")(op.Expand(x, s), rest)

    def rewrite(
        self,
        op: Builder,
        root: ir.Node,
        x: ir.Value,
        s: ir.Value,
        rest: tuple[ir.Value | None, ...],
    ) -> ir.Value:
        return op.Expand(op.copy(root, [x, *rest]), s)


class AfterConstant(Rule):
    """``Expand(x, s) + constant`` becomes ``Expand(x + constant, s)``, as does a product."""

    since = 13

    shared = True

    def pattern(self, op: PatternOps, x: Var, s: Var, k: Const) -> Op:
        return op.one_of("Add", "Mul")(op.Expand(x, s), k)

    def rewrite(
        self, op: Builder, root: ir.Node, x: ir.Value, s: ir.Value, k: ir.Value
    ) -> ir.Value:
        return op.Expand(op.copy(root, [x, k]), s)


class TileOfOne(Rule):
    """``Tile(x, t)`` of axes of one element becomes ``Expand(x, t)``."""

    since = 13

    def pattern(self, op: PatternOps, x: Var, times: Var) -> Op:
        return op.Tile(x, times)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, times: ir.Value) -> ir.Value:
        before, after = extents(x), extents(root.outputs[0])
        content = symbolic_value(times)
        if before is None or after is None or content is None or len(content) != len(before):
            raise Decline("the shape or the repeats are not known")
        if any(old != 1 and count != 1 for old, count in zip(before, content, strict=True)):
            raise Decline("repeats several elements")
        return op.Expand(x, times)
