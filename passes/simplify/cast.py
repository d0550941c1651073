"""Casts after one another."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rule, Var

_DIGITS = {
    ir.DataType.BFLOAT16: 8,
    ir.DataType.FLOAT16: 11,
    ir.DataType.FLOAT: 24,
    ir.DataType.DOUBLE: 53,
}
"""Binary digits of the mantissa: integers of as many bits are exact."""
_INTEGERS = {
    ir.DataType.BOOL: (0, 1),
    ir.DataType.INT8: (1, 7),
    ir.DataType.INT16: (1, 15),
    ir.DataType.INT32: (1, 31),
    ir.DataType.INT64: (1, 63),
    ir.DataType.UINT8: (0, 8),
    ir.DataType.UINT16: (0, 16),
    ir.DataType.UINT32: (0, 32),
    ir.DataType.UINT64: (0, 64),
}
"""Whether negative numbers fit, and the binary digits."""


def exact(source: ir.DataType, result: ir.DataType) -> bool:
    """Return whether a Cast keeps every number as it is."""
    if source == result:
        return True
    if source in _INTEGERS:
        sign, bits = _INTEGERS[source]
        if result in _INTEGERS:
            wider_sign, wider = _INTEGERS[result]
            return sign <= wider_sign and bits <= wider and result != ir.DataType.BOOL
        return bits <= _DIGITS.get(result, 0)
    if source in _DIGITS and result in _DIGITS:
        small = source in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
        return _DIGITS[source] < _DIGITS[result] and not (
            small and result in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
        )
    return False


class CastCast(Rule):
    """``Cast(Cast(x, to=a), to=b)`` becomes ``Cast(x, to=b)`` where ``a`` holds all of ``x``.

    Where ``b`` is the type of ``x`` it becomes ``x``.
    """

    shared = True

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Cast(op.Cast(x, to=Attr("between")), to=Attr("to"))

    def rewrite(self, op: Builder, x: ir.Value, between: int, to: int) -> ir.Value:
        if x.dtype is None or not exact(x.dtype, ir.DataType(between)):
            raise Decline("the inner cast rounds, or may")
        result = ir.DataType(to)
        if result == x.dtype:
            return x
        if result not in _INTEGERS and result not in _DIGITS:
            raise Decline("text, or a type of eight bits or fewer")
        return op.Cast(x, to=to)


class CastCumSum(Rule):
    """``Cast(CumSum(Cast(b, to=int64)), to=int32)`` of booleans becomes the CumSum of int32.

    A count along an axis fits.
    """

    since = 11

    def pattern(self, op: PatternOps, b: Var, axis: Var) -> Op:
        counted = op.CumSum(op.Cast(b, to=ir.DataType.INT64), axis, _name="counted")
        return op.Cast(counted, to=ir.DataType.INT32)

    def rewrite(self, op: Builder, b: ir.Value, axis: ir.Value, counted: ir.Value) -> ir.Value:
        node = counted.producer()
        if b.dtype != ir.DataType.BOOL or node is None:
            raise Decline("not a count")
        return op.copy(node, [op.Cast(b, to=ir.DataType.INT32), axis])
