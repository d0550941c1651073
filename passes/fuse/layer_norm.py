"""LayerNormalization from its written-out form, with its scale and bias."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine, _moments
from onnxopt.rewrite import Builder, Const, Decline, Op, Opt, PatternOps, Rest, Rule, Var


class Divided(Rule):
    """``c / sqrt(mean(c²) + epsilon)``, ``c = x - mean(x)``, over the last axes of x.

    Becomes LayerNormalization with a scale of ones. The axes must have known sizes.
    """

    since = 17

    def pattern(self, op: PatternOps, x: Var, axes: Rest, eps: Const, others: Rest) -> Op:
        return _moments.divided(op, _centred(op, x, axes), eps, others)

    def rewrite(
        self, op: Builder, x: ir.Value, mean: ir.Value, square_mean: ir.Value, eps: ir.Value
    ) -> ir.Value:
        return _layer_norm(op, x, mean, square_mean, eps)


class Multiplied(Rule):
    """``c * (1 / sqrt(mean(c²) + epsilon))``, ``c = x - mean(x)``, over the last axes of x.

    Becomes LayerNormalization with a scale of ones, like the quotient.
    """

    since = 17

    def pattern(self, op: PatternOps, x: Var, axes: Rest, eps: Const, others: Rest) -> Op:
        return _moments.multiplied(op, _centred(op, x, axes), eps, others)

    def rewrite(
        self, op: Builder, x: ir.Value, mean: ir.Value, square_mean: ir.Value, eps: ir.Value
    ) -> ir.Value:
        return _layer_norm(op, x, mean, square_mean, eps)


class Scale(Rule):
    """``LayerNorm(x; s, b) * k = LayerNorm(x; s k, b k)``."""

    since = 17

    def pattern(self, op: PatternOps, x: Var, s: Const, b: Opt, k: Const) -> Op:
        return op.LayerNormalization(x, s, b, _name="normal") * k

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        s: ir.Value,
        b: ir.Value | None,
        k: ir.Value,
        normal: ir.Value,
    ) -> ir.Value:
        node = _affine.producer(normal)
        scale = _affine.floats(s)
        factor = _moments.fitting(k, scale.shape, graph.rank(x))
        bias = None if b is None else _moments.product(_affine.floats(b), factor)
        return _moments.again(op, node, x, _moments.product(scale, factor), bias)


class Shift(Rule):
    """``LayerNorm(x; s, b) + t = LayerNorm(x; s, b + t)``."""

    since = 17

    def pattern(self, op: PatternOps, x: Var, s: Const, b: Opt, t: Const) -> Op:
        return op.LayerNormalization(x, s, b, _name="normal") + t

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        s: ir.Value,
        b: ir.Value | None,
        t: ir.Value,
        normal: ir.Value,
    ) -> ir.Value:
        node = _affine.producer(normal)
        scale = _affine.floats(s)
        shift = _moments.fitting(t, scale.shape, graph.rank(x))
        old = 0.0 if b is None else _affine.floats(b).astype(np.float64)
        return _moments.again(op, node, x, scale, _affine.rounded(old + shift, scale.dtype))


def _centred(op: PatternOps, x: Var, axes: Rest) -> Op:
    return op.Sub(x, op.ReduceMean(x, axes, _name="mean"))


def _layer_norm(
    op: Builder, x: ir.Value, mean: ir.Value, square_mean: ir.Value, eps: ir.Value
) -> ir.Value:
    axis = _moments.first_axis(_affine.producer(mean), x)
    if axis != _moments.first_axis(_affine.producer(square_mean), x):
        raise Decline("mean and variance are taken over different axes")
    ones = _moments.ones(op, x, axis)
    return op.LayerNormalization(x, ones, axis=axis, epsilon=_moments.epsilon(eps, x))
