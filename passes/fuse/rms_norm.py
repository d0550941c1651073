"""RMSNormalization from its written-out forms; before opset 23 the form that runtimes know."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine, _moments
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rest, Rule, Var

_SINCE = 23
"""The first opset with an operator RMSNormalization."""


class Divided(Rule):
    """``x / sqrt(mean(x²) + epsilon)`` over the last axes becomes RMSNormalization.

    Before opset 23 the square is spelled as a power, the form that runtimes fuse.
    """

    def pattern(self, op: PatternOps, x: Var, eps: Const, axes: Rest) -> Op:
        return _moments.divided(op, x, eps, axes)

    def rewrite(self, op: Builder, x: ir.Value, square_mean: ir.Value, eps: ir.Value) -> ir.Value:
        mean = _affine.producer(square_mean)
        squared = mean.inputs[0]
        if op.opset < _SINCE and squared is not None and _affine.producer(squared).op_type == "Pow":
            raise Decline("spelled as runtimes know it")
        return _rms_norm(op, x, mean, eps)


class Multiplied(Rule):
    """``x * (1 / sqrt(mean(x²) + epsilon))`` over the last axes becomes RMSNormalization.

    Before opset 23 it becomes the quotient, the form that runtimes fuse.
    """

    def pattern(self, op: PatternOps, x: Var, eps: Const, axes: Rest) -> Op:
        return _moments.multiplied(op, x, eps, axes)

    def rewrite(self, op: Builder, x: ir.Value, square_mean: ir.Value, eps: ir.Value) -> ir.Value:
        return _rms_norm(op, x, _affine.producer(square_mean), eps)


class Scale(Rule):
    """``RMSNorm(x; s) * k = RMSNorm(x; s k)``."""

    since = _SINCE

    def pattern(self, op: PatternOps, x: Var, s: Const, k: Const) -> Op:
        return op.RMSNormalization(x, s, _name="normal") * k

    def rewrite(
        self, op: Builder, x: ir.Value, s: ir.Value, k: ir.Value, normal: ir.Value
    ) -> ir.Value:
        scale = _affine.floats(s)
        factor = _moments.fitting(k, scale.shape, graph.rank(x))
        made = _moments.product(scale, factor)
        return _moments.again(op, _affine.producer(normal), x, made, None)


def _rms_norm(op: Builder, x: ir.Value, mean: ir.Node, eps: ir.Value) -> ir.Value:
    axis = _moments.first_axis(mean, x)
    number = _moments.epsilon(eps, x)
    if op.opset >= _SINCE:
        return op.RMSNormalization(x, _moments.ones(op, x, axis), axis=axis, epsilon=number)
    squared = op.copy(mean, [op.Pow(x, 2.0), *mean.inputs[1:]])
    return op.Div(x, op.Sqrt(op.Add(squared, eps)))
