"""Operators that reduce axes."""

from __future__ import annotations

import functools

import onnx_ir as ir

from onnxopt.shapes.call import Call, Row, normalize
from onnxopt.shapes.contents import BINARY, fits, followed
from onnxopt.shapes.extent import Dims
from onnxopt.shapes.fact import Content, Fact

_ITEMS = {"ReduceSum": "Add", "ReduceProd": "Mul", "ReduceMax": "Max", "ReduceMin": "Min"}


def reduced(shape: Dims, axes: tuple[int, ...], keep: bool) -> Dims:
    """Return the shape without some axes, or with extent 1 there."""
    if keep:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _reduce(call: Call) -> Fact:
    """Reduce ``axes``; all of them where none are given, unless that is said to mean none."""
    shape, dtype = call.shape(0), call.dtype(0)
    if shape is None:
        return Fact(dtype)
    keep = bool(call.integer("keepdims", 1))
    axes = call.axes(len(shape))
    if axes is None:
        call.stop("its axes are computed from data")
        return Fact(dtype, (None,) * len(shape) if keep else None)
    if not axes:
        if call.integer("noop_with_empty_axes", 0):
            return Fact(dtype, shape)
        axes = tuple(range(len(shape)))
    return Fact(dtype, reduced(shape, axes, keep), _reduced_content(call, axes))


def _reduced_content(call: Call, axes: tuple[int, ...]) -> Content | None:
    name, dtype, dims = _ITEMS.get(call.node.op_type), call.dtype(0), call.shape(0)
    shape = followed(dtype, dims)
    if name is None or dtype is None or not shape or len(axes) != len(shape):
        return None
    content = call.content(0)
    if not content:
        return None
    return (fits(functools.reduce(BINARY[name], content), dtype),)


def _arg(call: Call) -> Fact:
    """Find the position of an extreme along one axis."""
    shape = call.shape(0)
    if shape is None:
        return Fact(ir.DataType.INT64)
    axis = normalize(call.integer("axis", 0), len(shape))
    return Fact(ir.DataType.INT64, reduced(shape, (axis,), bool(call.integer("keepdims", 1))))


_REDUCE = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"

ROWS: dict[str, Row] = {
    **{f"Reduce{name}": _reduce for name in _REDUCE.split()},
    "ArgMax": _arg,
    "ArgMin": _arg,
}
