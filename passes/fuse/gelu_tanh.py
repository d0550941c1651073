"""Gelu from its tanh approximation, in the order of factors that the exporter chose."""

from __future__ import annotations

import math

import onnx_ir as ir

from onnxopt.passes.fuse import _affine
from onnxopt.passes.fuse.gelu import GELU_SINCE
from onnxopt.rewrite import Builder, Decline, Either, Op, PatternOps, Rule, Var
from onnxopt.rewrite.pattern import Node

_SCALE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


class HalfLast(Rule):
    """``x * (1 + tanh(s (x + c x³))) * 0.5`` becomes ``Gelu(x)`` with approximation."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return x * _gate(op, x) * 0.5

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return _gelu(op, x)


class HalfGate(Rule):
    """``x * ((1 + tanh(s (x + c x³))) * 0.5)`` becomes ``Gelu(x)`` with approximation."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return x * (_gate(op, x) * 0.5)

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return _gelu(op, x)


class HalfFirst(Rule):
    """``(x * 0.5) * (1 + tanh(s (x + c x³)))`` becomes ``Gelu(x)`` with approximation.

    Before opset 20 this order, with the cube as a power, is the one that runtimes know; there the
    others are respelled.
    """

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return (x * 0.5) * _gate(op, x)

    def rewrite(self, op: Builder, x: ir.Value, tanh: ir.Value) -> ir.Value:
        if op.opset < GELU_SINCE and _known(_affine.producer(tanh).inputs[0], x):
            raise Decline("spelled as runtimes know it")
        return _gelu(op, x)


def _gate(op: PatternOps, x: Var) -> Op:
    cube = Either(op.Pow(x, 3), x * x * x)
    square = Either(x * x * _CUBIC, x * _CUBIC * x, op.Pow(x, 2) * _CUBIC)
    inner: tuple[Node, ...] = (
        (x + cube * _CUBIC) * _SCALE,
        (x * _SCALE) * (square + 1),
        x * (square + 1) * _SCALE,
        x * ((square + 1) * _SCALE),
    )
    return op.Tanh(Either(*inner), _name="tanh") + 1


def _known(inner: ir.Value | None, x: ir.Value) -> bool:
    """Return whether the tanh is taken of ``(x + c Pow(x, 3)) * s``."""
    scaled = None if inner is None else inner.producer()
    sums = [] if scaled is None else [v.producer() for v in scaled.inputs if v is not None]
    terms = [
        value.producer()
        for node in sums
        if node is not None and node.op_type == "Add" and any(value is x for value in node.inputs)
        for value in node.inputs
        if value is not None and value is not x
    ]
    powers = (v.producer() for node in terms if node is not None for v in node.inputs if v)
    return any(node is not None and node.op_type == "Pow" for node in powers)


def _gelu(op: Builder, x: ir.Value) -> ir.Value:
    if x.dtype not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
        raise Decline("no kernels for the type")
    if op.opset >= GELU_SINCE:
        return op.Gelu(x, approximate="tanh")
    inner = op.Mul(op.Add(x, op.Mul(op.Pow(x, 3.0), _CUBIC)), _SCALE)
    return op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(inner), 1.0))
