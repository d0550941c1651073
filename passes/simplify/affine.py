"""Constants moved through an affine operation, where they meet another constant there."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt.passes.simplify._facts import LARGE, float_array, merged, sum_of
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rule, Var

_LARGEST = 1 << 20


def _arrays(*values: ir.Value) -> list[np.ndarray]:
    return [float_array(value, at_most=_LARGEST) for value in values]


class ScaledAffine(Rule):
    """``(x * a + b) * c`` becomes ``x * (a c) + b c``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const, c: Const) -> Op:
        return (x * a + b) * c

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        scale, shift, factor = _arrays(a, b, c)
        scaled = merged(scale * factor, a, scale, factor)
        return op.Add(op.Mul(x, scaled), merged(shift * factor, a, shift, factor))


class ShiftedAffine(Rule):
    """``(x + a) * b + c`` becomes ``x * b + (a b + c)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const, c: Const) -> Op:
        return (x + a) * b + c

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        before, factor, after = _arrays(a, b, c)
        if (np.abs(before) >= LARGE).any():
            raise Decline("the sum may be far smaller than its parts")
        shift = merged(sum_of(before * factor, after), a, before, factor, after)
        return op.Add(op.Mul(x, b), shift)
