"""Powers that a cheaper operator computes."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import FLOATS
from onnxopt.passes.simplify._facts import keeps_shape, uniform
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rule, Var

_NOT_NEGATIVE = frozenset(
    ("Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt")
)
_KEEP_SIGN = frozenset(("Identity", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"))
_DEPTH = 8


def not_negative(value: ir.Value, depth: int = _DEPTH) -> bool:
    """Return whether no element is below zero, whatever the inputs (NaN aside)."""
    constant = graph.array(value, at_most=4096)
    if constant is not None:
        return constant.dtype.kind == "f" and bool((constant >= 0).all())
    node = value.producer()
    if node is None or node.domain or not depth:
        return False
    operands = [operand for operand in node.inputs if operand is not None]
    if node.op_type in _NOT_NEGATIVE:
        return value.dtype in FLOATS
    if node.op_type in _KEEP_SIGN:
        return not_negative(operands[0], depth - 1)
    if node.op_type == "Mul" and operands[0] is operands[1]:
        return value.dtype in FLOATS
    if node.op_type == "Pow":
        exponent = uniform(operands[1])
        return value.dtype in FLOATS and exponent is not None and exponent % 2 == 0
    if node.op_type in ("Add", "Mul", "Div"):
        return all(not_negative(operand, depth - 1) for operand in operands)
    return False


def _exponent(x: ir.Value, c: ir.Value, out: ir.Value) -> float | None:
    if x.dtype not in FLOATS or not keeps_shape(x, c, out):
        raise Decline("not of floats, or broadcasting may enlarge the input")
    return uniform(c)


class Root(Rule):
    """``Pow(x, 0.5)`` becomes ``Sqrt(x)`` where ``x`` is never negative."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, c: Const) -> Op:
        return op.Pow(x, c)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, c: ir.Value) -> ir.Value:
        if _exponent(x, c, root.outputs[0]) != 0.5 or not not_negative(x):
            raise Decline("another exponent, or may be negative")
        return op.Sqrt(x)


class InverseRoot(Rule):
    """``Pow(x, -0.5)`` becomes ``Reciprocal(Sqrt(x))`` where ``x`` is never negative."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, c: Const) -> Op:
        return op.Pow(x, c)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, c: ir.Value) -> ir.Value:
        if _exponent(x, c, root.outputs[0]) != -0.5 or not not_negative(x):
            raise Decline("another exponent, or may be negative")
        return op.Reciprocal(op.Sqrt(x))


class Inverse(Rule):
    """``Pow(x, -1)`` becomes ``Reciprocal(x)``."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, c: Const) -> Op:
        return op.Pow(x, c)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, c: ir.Value) -> ir.Value:
        if _exponent(x, c, root.outputs[0]) != -1:
            raise Decline("another exponent")
        return op.Reciprocal(x)
