"""Operators that return their input: each is replaced by it."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify import _parts
from onnxopt.passes.simplify._facts import first_output_only, uniform
from onnxopt.rewrite import Attr, Builder, Decline, Op, Opt, PatternOps, Rest, Rule, Var


class Copy(Rule):
    """``Identity(x)`` becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Identity(x)

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return x


class Single(Rule):
    """``Concat``, ``Max``, ``Min``, ``Sum`` or ``Mean`` of one input becomes that input."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.one_of("Concat", "Max", "Min", "Sum", "Mean")(x)

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return x


class Dropout(Rule):
    """``Dropout(x)`` outside of training becomes ``x``; the mask must not be used."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, ratio: Opt, training: Opt) -> Op:
        return op.Dropout(x, ratio, training)

    def rewrite(
        self, op: Builder, root: ir.Node, x: ir.Value, training: ir.Value | None
    ) -> ir.Value:
        first_output_only(root)
        if training is not None and uniform(training) != 0:
            raise Decline("may be training")
        return x


class SameType(Rule):
    """``Cast(x, to=the type of x)`` becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Cast(x, to=Attr("to"))

    def rewrite(self, op: Builder, x: ir.Value, to: int) -> ir.Value:
        if x.dtype is None or x.dtype != to:
            raise Decline("another type")
        return x


class SameTypeLike(Rule):
    """``CastLike(x, y)`` becomes ``x`` where both have one type, else ``Cast(x, to=…)``."""

    since = 15

    def pattern(self, op: PatternOps, x: Var, y: Var) -> Op:
        return op.CastLike(x, y)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
        if x.dtype is None or y.dtype is None:
            raise Decline("types not known")
        if x.dtype == y.dtype:
            return x
        return op.Cast(x, to=int(y.dtype), saturate=root.attributes.get("saturate"))


class SameOrder(Rule):
    """``Transpose(x, perm=[0, 1, …])`` becomes ``x``, as does that of a vector."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Transpose(x)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        perm = graph.attr_ints(root, "perm")
        rank = graph.rank(x)
        if perm is None and (rank is None or rank > 1):
            raise Decline("reverses the axes")
        if perm is not None and perm != tuple(range(len(perm))):
            raise Decline("moves an axis")
        return x


class SameShape(Rule):
    """An operator that only reshapes or repeats ``x``, to the shape ``x`` has, becomes ``x``.

    Reshape, Flatten, Squeeze, Unsqueeze, Expand, Tile.
    """

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> Op:
        names = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile")
        return op.one_of(*names)(x, rest)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        if not graph.same_shape(x, root.outputs[0]):
            raise Decline("the shape changes, or may")
        return x


class OnceEach(Rule):
    """``Expand(x, [1, …])`` becomes ``x``, as does ``Tile(x, [1, …])``.

    Expand must name no more axes than ``x`` has.
    """

    def pattern(self, op: PatternOps, x: Var, times: Var) -> Op:
        return op.one_of("Expand", "Tile")(x, times)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, times: ir.Value) -> ir.Value:
        found, rank = graph.ints(times), graph.rank(x)
        if found is None or any(number != 1 for number in found):
            raise Decline("repeats an axis")
        if root.op_type == "Expand" and found and (rank is None or len(found) > rank):
            raise Decline("adds an axis, or may")
        return x


class NoPadding(Rule):
    """``Pad(x)`` by nothing becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> Op:
        return op.Pad(x, rest)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        found = _parts.operand(root, 1, "pads")
        if found is None or any(found):
            raise Decline("pads")
        return x


class WholeSlice(Rule):
    """``Slice(x)`` of everything becomes ``x``: from 0 without an end, or of unchanged extent."""

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> Op:
        return op.Slice(x, rest)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        steps = _parts.operand(root, 4, "steps") or ()
        if any(step != 1 for step in steps):
            raise Decline("leaves elements out, or turns them round")
        if graph.same_shape(x, root.outputs[0]):
            return x
        if any(cut.start != 0 or cut.end < _parts.EVERYTHING for cut in _parts.cuts(root).values()):
            raise Decline("cuts off an end")
        return x


class OnePart(Rule):
    """``Split(x)`` into one part becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var, sizes: Opt) -> Op:
        return op.Split(x, sizes)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        if len(root.outputs) != 1:
            raise Decline("several parts")
        return x


class WholeGather(Rule):
    """``Gather(x, [0, 1, …, n - 1])`` along an axis of n elements becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var, indices: Var) -> Op:
        return op.Gather(x, indices, axis=Attr("axis", 0))

    def rewrite(self, op: Builder, x: ir.Value, indices: ir.Value, axis: int) -> ir.Value:
        found, shape = graph.ints(indices), graph.dims(x)
        if found is None or shape is None or graph.rank(indices) != 1:
            raise Decline("indices or shape not known")
        if shape[axis] != len(found) or found != tuple(range(len(found))):
            raise Decline("other elements, or another order")
        return x
