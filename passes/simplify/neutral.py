"""Arithmetic with a neutral element."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._facts import keeps_shape, uniform
from onnxopt.passes.simplify._index import FILLING, constantly
from onnxopt.rewrite import Attr, Builder, Const, Decline, Op, PatternOps, Rule, Var

_EXPAND = 8
"""The first operator set with Expand."""
_NEUTRAL = {
    "Add": 0.0,
    "Sub": 0.0,
    "Mul": 1.0,
    "Div": 1.0,
    "Pow": 1.0,
    "And": 1.0,
    "Or": 0.0,
    "Xor": 0.0,
}


class Neutral(Rule):
    """``x + 0``, ``x - 0``, ``x * 1``, ``x / 1``, ``x ** 1``, ``x and true``, ``x or false``.

    Each becomes ``x`` where broadcasting with the constant leaves the shape as it is.
    ``-0.0 + 0`` loses its sign in the original and keeps it here; nothing else changes.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var, c: Const) -> Op:
        return op.one_of(*_NEUTRAL)(x, c)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, c: ir.Value) -> ir.Value:
        if uniform(c) != _NEUTRAL[root.op_type]:
            raise Decline("not the neutral element")
        if not keeps_shape(x, c, root.outputs[0]):
            raise Decline("broadcasting may enlarge the input")
        return x


class RepeatedNeutral(Rule):
    """The same where the neutral element fills a tensor, ``x and Expand(true, s)`` for one.

    The result is ``Expand(x, shape)`` where the tensor enlarges ``x``.
    """

    since = 13
    reads = FILLING

    def pattern(self, op: PatternOps, x: Var, c: Var) -> Op:
        return op.one_of("Add", "Mul", "And", "Or")(x, c)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, c: ir.Value) -> ir.Value:
        for kept, filled in ((x, c), (c, x)):
            if graph.tensor(filled) is None and constantly(filled) == _NEUTRAL[root.op_type]:
                whole = keeps_shape(kept, filled, root.outputs[0])
                return kept if whole else op.Expand(kept, op.Shape(filled))
        raise Decline("not filled with the neutral element")


class Chosen(Rule):
    """``Where(c, x, y)`` becomes the side that is always chosen, repeated like the condition."""

    def pattern(self, op: PatternOps, chosen: Var, x: Var, y: Var) -> Op:
        return op.Where(chosen, x, y)

    def rewrite(
        self, op: Builder, root: ir.Node, chosen: ir.Value, x: ir.Value, y: ir.Value
    ) -> ir.Value:
        number = constantly(chosen)
        if number is None:
            raise Decline("chooses from both sides")
        side, other = (x, y) if number else (y, x)
        if graph.same_shape(side, root.outputs[0]):
            return side
        large = chosen if graph.rank(other) == 0 else other
        if op.opset < _EXPAND or 0 not in (graph.rank(other), graph.rank(chosen)):
            raise Decline("broadcasting may enlarge the input")
        return op.Expand(side, op.Shape(large))


class EitherWay(Rule):
    """``Where(c, x, x)`` becomes ``x`` where the condition does not enlarge it."""

    def pattern(self, op: PatternOps, c: Var, x: Var) -> Op:
        return op.Where(c, x, x)

    def rewrite(self, op: Builder, root: ir.Node, c: ir.Value, x: ir.Value) -> ir.Value:
        if not keeps_shape(x, c, root.outputs[0]):
            raise Decline("broadcasting may enlarge the input")
        return x


class Both(Rule):
    """``Max``, ``Min``, ``And`` or ``Or`` of ``x`` and ``x`` becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.one_of("Max", "Min", "And", "Or")(x, x)

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return x


class NegatedCondition(Rule):
    """``Where(Not(c), x, y)`` becomes ``Where(c, y, x)``."""

    shared = True

    def pattern(self, op: PatternOps, c: Var, x: Var, y: Var) -> Op:
        return op.Where(op.Not(c), x, y)

    def rewrite(self, op: Builder, c: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
        return op.Where(c, y, x)


class LeakyRelu(Rule):
    """``LeakyRelu(x, alpha=1)`` becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.LeakyRelu(x, alpha=Attr("alpha", 0.01))

    def rewrite(self, op: Builder, x: ir.Value, alpha: float) -> ir.Value:
        if alpha != 1:
            raise Decline("bends")
        return x


class Mirrored(Rule):
    """``a >= b`` becomes ``b <= a``, and ``a > b`` becomes ``b < a``: one word for one question."""

    since = 16

    def pattern(self, op: PatternOps, a: Var, b: Var) -> Op:
        return op.one_of("Greater", "GreaterOrEqual")(a, b)

    def rewrite(self, op: Builder, root: ir.Node, a: ir.Value, b: ir.Value) -> ir.Value:
        return op.Less(b, a) if root.op_type == "Greater" else op.LessOrEqual(b, a)
