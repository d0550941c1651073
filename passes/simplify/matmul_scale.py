"""Scales moved into the constant operand of a MatMul."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._facts import FLOATS, float_array, merged
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rule, Var


def _factor(s: ir.Value, beside: ir.Value, *, columns: int) -> np.ndarray:
    """Return one number, or one for each of so many columns; raises Decline.

    Broadcasting with it must leave the shape of the value beside it as it is.
    """
    found, rank = float_array(s, at_most=1 << 20), graph.rank(beside)
    if found.ndim and (rank is None or found.ndim > rank):
        raise Decline("broadcasting may add an axis")
    if found.size == 1:
        return found.reshape(())
    if found.size != columns or found.shape[-1] != columns:
        raise Decline("neither one number nor one a column")
    return found.reshape(-1)


def _scaled(w: ir.Value, factor: np.ndarray) -> np.ndarray:
    """Return a weight times a factor, in its own type: one product is rounded once in any case."""
    weight = graph.array(w)
    if weight is None or w.dtype not in FLOATS:
        raise Decline("not a constant of floats")
    with np.errstate(over="ignore", under="ignore"):
        return merged(weight * factor.astype(weight.dtype), w, weight)


def _columns(w: ir.Value) -> int:
    shape = graph.static(w)
    if not graph.sole_use(w) or shape is None or len(shape) != 2:
        raise Decline("the weight is used elsewhere, or is no matrix")
    return shape[1]


class ScaledInput(Rule):
    """``MatMul(x * s, W)`` becomes ``MatMul(x, s W)`` for a number ``s`` and a constant ``W``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, s: Const, w: Const) -> Op:
        return (x * s) @ w

    def rewrite(self, op: Builder, x: ir.Value, s: ir.Value, w: ir.Value) -> ir.Value:
        _columns(w)
        return op.MatMul(x, _scaled(w, _factor(s, x, columns=1)))


class ScaledProduct(Rule):
    """``MatMul(x, W) * s`` becomes ``MatMul(x, W s)`` for a number or one a column."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, s: Const, w: Const) -> Op:
        return op.MatMul(x, w, _name="product") * s

    def rewrite(
        self, op: Builder, x: ir.Value, s: ir.Value, w: ir.Value, product: ir.Value
    ) -> ir.Value:
        return op.MatMul(x, _scaled(w, _factor(s, product, columns=_columns(w))))


class ScaledLinear(Rule):
    """``(MatMul(x, W) + b) * s`` becomes ``MatMul(x, W s) + b s``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, s: Const, w: Const, b: Const) -> Op:
        return (op.MatMul(x, w, _name="product") + b) * s

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        s: ir.Value,
        w: ir.Value,
        b: ir.Value,
        product: ir.Value,
    ) -> ir.Value:
        bias = float_array(b, at_most=1 << 20)
        factor = _factor(s, product, columns=_columns(w))
        shift = merged(bias * factor, b, bias, factor)
        return op.Add(op.MatMul(x, _scaled(w, factor)), shift)
