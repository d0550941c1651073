"""Gelu from its erf form, in the order of factors that the exporter chose."""

from __future__ import annotations

import math

import onnx_ir as ir

from onnxopt.passes.fuse import _affine
from onnxopt.rewrite import Builder, Decline, Either, Op, PatternOps, Rule, Var

GELU_SINCE = 20
"""The first opset with an operator Gelu."""


class HalfLast(Rule):
    """``x * (1 + erf(x / sqrt 2)) * 0.5`` becomes ``Gelu(x)``, before opset 20 the known order."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return x * _gate(op, x) * 0.5

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return _gelu(op, x)


class HalfGate(Rule):
    """``x * ((1 + erf(x / sqrt 2)) * 0.5)`` becomes ``Gelu(x)``, likewise."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return x * (_gate(op, x) * 0.5)

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return _gelu(op, x)


class HalfFirst(Rule):
    """``(x * 0.5) * (1 + erf(x / sqrt 2))`` becomes ``Gelu(x)``.

    Before opset 20 this order, with a division, is the one that runtimes know as Gelu and that no
    constant can be moved out of; there only ``x * sqrt 0.5`` is respelled.
    """

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return (x * 0.5) * _gate(op, x)

    def rewrite(self, op: Builder, x: ir.Value, scaled: ir.Value) -> ir.Value:
        if op.opset < GELU_SINCE and _affine.producer(scaled).op_type == "Div":
            raise Decline("spelled as runtimes know it")
        return _gelu(op, x)


def _gate(op: PatternOps, x: Var) -> Op:
    divided = op.Div(x, math.sqrt(2), _name="scaled")
    return op.Erf(Either(divided, op.Mul(x, math.sqrt(0.5), _name="scaled"))) + 1


def _gelu(op: Builder, x: ir.Value) -> ir.Value:
    if x.dtype not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
        raise Decline("no kernels for the type")
    if op.opset >= GELU_SINCE:
        return op.Gelu(x)
    return op.Mul(op.Mul(x, 0.5), op.Add(op.Erf(op.Div(x, math.sqrt(2))), 1.0))
