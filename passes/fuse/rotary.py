"""Rotary positions of queries and keys as ONNX's operator."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph, shapes
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rest, Rule, Var

_HALVES = 2
_POINTWISE = ("Cast", "Cos", "Sin")


class RotaryEmbedding(Rule):
    """``x c + concat(-x2, x1) s`` with halves x1 and x2 of x becomes ``RotaryEmbedding(x, c, s)``.

    For heads ``[b, n, s, h]`` and angles that are the same for both halves, ``c = cos(concat(f,
    f))``: the operator takes one half of them, ``[b, s, h / 2]``.
    """

    since = 23
    needs = ("ai.onnx::RotaryEmbedding",)

    def pattern(self, op: PatternOps, x: Var, c: Var, s: Var, sizes: Rest) -> Op:
        split = op.Split(x, sizes, axis=Attr("along"), _name="first")
        turned = op.Concat(op.Neg(split.output(1)), split.output(0), axis=Attr("axis"))
        return x * c + turned * s

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        c: ir.Value,
        s: ir.Value,
        first: ir.Value,
        along: int,
        axis: int,
    ) -> ir.Value:
        dims, half = _extents(x), _extents(first)
        if along not in (-1, 3) or axis not in (-1, 3) or x.dtype != ir.DataType.FLOAT:
            raise Decline("not along the numbers of a head, or not in float32")
        if not isinstance(dims[3], int) or half[3] != dims[3] // _HALVES:
            raise Decline("not two halves")
        wanted = (dims[0], dims[2], half[3])
        return op.RotaryEmbedding(x, *(_cache(op, angle, x, wanted) for angle in (c, s)))


def _extents(x: ir.Value) -> tuple[int | shapes.Dim, ...]:
    dims = graph.dims(x)
    found = tuple(shapes.parse_dim(d) if isinstance(d, str) else d for d in dims or ())
    known = tuple(d for d in found if d is not None)
    if len(known) != len(found) or len(found) != 4:
        raise Decline("not heads of a known shape")
    return known


def _cache(
    op: Builder, angle: ir.Value, x: ir.Value, wanted: tuple[int | shapes.Dim, ...]
) -> ir.Value:
    """Build half of the cosines or sines for every row of the batch."""
    half = _half(op, _beside_heads(angle))
    dims = graph.dims(half)
    found = tuple(shapes.parse_dim(d) if isinstance(d, str) else d for d in dims or ())
    if found == wanted:
        return half
    if found != (1, *wanted[1:]):
        raise Decline("angles of another shape")
    rest = (op.Shape(x, start=2, end=3), op.Shape(half, start=2))
    return op.Expand(half, op.Concat(op.Shape(x, end=1), *rest, axis=0))


def _beside_heads(angle: ir.Value) -> ir.Value:
    """Return the ``[b, s, h]`` to which an axis for the heads was added."""
    node = angle.producer()
    if node is None or node.op_type != "Unsqueeze" or graph.ints(node.inputs[1]) != (1,):
        raise Decline("the angles differ from head to head, or may")
    return _operand(node)


def _half(op: Builder, angle: ir.Value) -> ir.Value:
    node = angle.producer()
    if node is None or node.domain:
        raise Decline("the halves may have angles of their own")
    if node.op_type in _POINTWISE:
        return op.copy(node, [_half(op, _operand(node))])
    if node.op_type == "Mul" and graph.scalar(node.inputs[1]) is not None:
        return op.copy(node, [_half(op, _operand(node)), node.inputs[1]])
    same = node.op_type == "Concat" and len(node.inputs) == _HALVES
    if same and node.inputs[0] is node.inputs[1] and graph.attr_int(node, "axis", 0) in (-1, 2):
        return _operand(node)
    raise Decline("the halves may have angles of their own")


def _operand(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    if value is None:
        raise Decline("an operand is absent")
    return value
