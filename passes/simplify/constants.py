"""Constants that meet: two operations of one kind with constants become one."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt.passes.simplify._facts import float_array, merged, sum_of
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rule, Var

_LARGEST = 1 << 20
"""Elements of a constant that is worth rewriting to save one operation."""


def _pair(a: ir.Value, b: ir.Value) -> tuple[np.ndarray, np.ndarray]:
    return float_array(a, at_most=_LARGEST), float_array(b, at_most=_LARGEST)


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if (b == 0).any():
        raise Decline("division by zero")
    result: np.ndarray = a / b
    return result


class MulMul(Rule):
    """``(x * a) * b`` becomes ``x * (a b)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (x * a) * b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Mul(x, merged(one * two, a, one, two))


class AddAdd(Rule):
    """``(x + a) + b`` becomes ``x + (a + b)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (x + a) + b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Add(x, merged(sum_of(one, two), a, one, two))


class DivDiv(Rule):
    """``(x / a) / b`` becomes ``x / (a b)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (x / a) / b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Div(x, merged(one * two, a, one, two))


class MulDiv(Rule):
    """``(x * a) / b`` becomes ``x * (a / b)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (x * a) / b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Mul(x, merged(_quotient(one, two), a, one, two))


class DivMul(Rule):
    """``(x / a) * b`` becomes ``x * (b / a)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (x / a) * b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Mul(x, merged(_quotient(two, one), a, one, two))


class AddSub(Rule):
    """``(x + a) - b`` becomes ``x + (a - b)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (x + a) - b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Add(x, merged(sum_of(one, -two), a, one, two))


class SubAdd(Rule):
    """``(x - a) + b`` becomes ``x + (b - a)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (x - a) + b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Add(x, merged(sum_of(two, -one), a, one, two))


class SubSub(Rule):
    """``(x - a) - b`` becomes ``x - (a + b)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (x - a) - b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Sub(x, merged(sum_of(one, two), a, one, two))


class TakenFrom(Rule):
    """``(a - x) + b`` becomes ``(a + b) - x``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return (a - x) + b

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        one, two = _pair(a, b)
        return op.Sub(merged(sum_of(one, two), a, one, two), x)


class NegatedFactor(Rule):
    """``-(x * a)`` becomes ``x * -a``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const) -> Op:
        return -(x * a)

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value) -> ir.Value:
        one = float_array(a, at_most=_LARGEST)
        return op.Mul(x, merged(-one, a, one))


class FactorOfNegated(Rule):
    """``(-x) * a`` becomes ``x * -a``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const) -> Op:
        return (-x) * a

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value) -> ir.Value:
        one = float_array(a, at_most=_LARGEST)
        return op.Mul(x, merged(-one, a, one))
