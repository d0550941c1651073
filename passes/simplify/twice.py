"""Operators that undo or repeat the one before."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.ops import FLOATS
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rule, Var


class Undone(Rule):
    """``Not(Not(x))`` and ``Neg(Neg(x))`` become ``x``."""

    shared = True

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.one_of("Not", "Neg")(op.one_of("Not", "Neg")(x))

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return x


class NotNegative(Rule):
    """``Relu`` or ``Abs`` of floats that are not negative becomes its input.

    That are the results of Relu, Sigmoid, Softmax, Abs, Exp, Sqrt, Softplus and HardSigmoid.
    """

    shared = True

    def pattern(self, op: PatternOps, x: Var) -> Op:
        names = ("Relu", "Sigmoid", "Softmax", "Abs", "Exp", "Sqrt", "Softplus", "HardSigmoid")
        return op.one_of("Relu", "Abs")(op.one_of(*names)(x, _name="y"))

    def rewrite(self, op: Builder, y: ir.Value) -> ir.Value:
        if y.dtype not in FLOATS:
            raise Decline("the smallest integer has no absolute value")
        return y


class Repeated(Rule):
    """``Ceil``, ``Floor`` or ``Round`` of what one of them rounded becomes that."""

    shared = True

    def pattern(self, op: PatternOps, x: Var) -> Op:
        names = ("Ceil", "Floor", "Round")
        return op.one_of(*names)(op.one_of(*names)(x, _name="y"))

    def rewrite(self, op: Builder, y: ir.Value) -> ir.Value:
        return y
