"""Gelu from its erf form."""

from __future__ import annotations

import math

import onnx_ir as ir

from onnxopt.rewrite import Builder, Op, PatternOps, Rule, Var


class ErfGelu(Rule):
    """``0.5 * x * (1 + erf(x / sqrt 2))`` becomes ``Gelu(x)``, from opset 20."""

    since = 20

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return x * (op.Erf(x / math.sqrt(2)) + 1) * 0.5

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return op.Gelu(x)
