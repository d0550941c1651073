"""HardSwish from its clipped form."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine
from onnxopt.rewrite import Builder, Decline, Either, Op, PatternOps, Rest, Rule, Var

_SINCE = 14


class SixthLast(Rule):
    """``x * clip(x + 3, 0, 6) / 6`` becomes ``HardSwish(x)``, before opset 14 by HardSigmoid."""

    since = 6

    def pattern(self, op: PatternOps, x: Var, bounds: Rest) -> Op:
        return op.Div(x * _clipped(op, x, bounds), 6)

    def rewrite(self, op: Builder, x: ir.Value, clip: ir.Value) -> ir.Value:
        return _hard_swish(op, x, clip)


class SixthLastAsFactor(Rule):
    """``x * clip(x + 3, 0, 6) * (1 / 6)`` becomes ``HardSwish(x)``."""

    since = 6

    def pattern(self, op: PatternOps, x: Var, bounds: Rest) -> Op:
        return x * _clipped(op, x, bounds) * (1 / 6)

    def rewrite(self, op: Builder, x: ir.Value, clip: ir.Value) -> ir.Value:
        return _hard_swish(op, x, clip)


class SixthFirst(Rule):
    """``x * (clip(x + 3, 0, 6) / 6)`` becomes ``HardSwish(x)``."""

    since = 6

    def pattern(self, op: PatternOps, x: Var, bounds: Rest) -> Op:
        clip = _clipped(op, x, bounds)
        return x * Either(clip / 6, clip * (1 / 6))

    def rewrite(self, op: Builder, x: ir.Value, clip: ir.Value) -> ir.Value:
        return _hard_swish(op, x, clip)


class FromHardSigmoid(Rule):
    """``x * HardSigmoid(x)`` with slope 1/6 becomes ``HardSwish(x)``."""

    since = _SINCE

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return x * op.HardSigmoid(x, _name="gate")

    def rewrite(self, op: Builder, x: ir.Value, gate: ir.Value) -> ir.Value:
        node = _affine.producer(gate)
        alpha = graph.attr_float(node, "alpha", 0.2)
        if abs(alpha - 1 / 6) > 1e-7 or graph.attr_float(node, "beta", 0.5) != 0.5:
            raise Decline("another slope")
        return op.HardSwish(x)


def _clipped(op: PatternOps, x: Var, bounds: Rest) -> Op:
    return op.Clip(x + 3, bounds, _name="clip")


def _hard_swish(op: Builder, x: ir.Value, clip: ir.Value) -> ir.Value:
    node = _affine.producer(clip)
    low, high = node.attributes.get("min"), node.attributes.get("max")
    if len(node.inputs) > 2:
        found = tuple(graph.scalar(value) for value in node.inputs[1:3])
    else:
        found = tuple(None if bound is None else bound.as_float() for bound in (low, high))
    if found != (0.0, 6.0):
        raise Decline("other bounds than 0 and 6")
    if x.dtype not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
        raise Decline("no kernels for the type")
    if op.opset >= _SINCE:
        return op.HardSwish(x)
    return op.Mul(x, op.HardSigmoid(x, alpha=1 / 6, beta=0.5))
