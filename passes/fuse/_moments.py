"""Parts of normalizations over the last axes: their patterns, axes and constants."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine
from onnxopt.rewrite import Builder, Const, Decline, Either, Op, PatternOps, Rest
from onnxopt.rewrite.pattern import Node


def divided(op: PatternOps, x: Node, eps: Const, axes: Rest) -> Op:
    """Trace ``x / sqrt(mean(x²) + eps)`` in the spellings that divide."""
    return op.Div(x, op.Sqrt(shifted_mean(op, x, eps, axes)))


def multiplied(op: PatternOps, x: Node, eps: Const, axes: Rest) -> Op:
    """Trace ``x * (1 / sqrt(mean(x²) + eps))`` in the spellings that multiply."""
    mean = shifted_mean(op, x, eps, axes)
    root = op.Sqrt(mean)
    return x * Either(op.Reciprocal(root), 1 / root, op.Pow(mean, -0.5))


def shifted_mean(op: PatternOps, x: Node, eps: Const, axes: Rest) -> Op:
    """Trace ``mean(x²) + eps``; the mean is named ``square_mean``."""
    square = Either(op.Pow(x, 2), x * x)
    return op.ReduceMean(square, axes, _name="square_mean") + eps


def first_axis(mean: ir.Node, x: ir.Value) -> int:
    """Return the first of the last axes that a mean is taken over, counted from the end."""
    rank = graph.rank(x)
    if rank is None or not graph.attr_int(mean, "keepdims", 1):
        raise Decline("the rank is unknown or the axes are dropped")
    given = mean.inputs[1] if len(mean.inputs) > 1 else None
    axes = graph.attr_ints(mean, "axes") if given is None else graph.ints(given)
    places = sorted({axis % rank for axis in axes or ()})
    if not places or places != list(range(places[0], rank)):
        raise Decline("the mean is not taken over the last axes")
    return places[0] - rank


def epsilon(eps: ir.Value, x: ir.Value) -> float:
    """Return the number added to the variance."""
    if x.dtype not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
        raise Decline("the operator computes in float32")
    found = graph.scalar(eps)
    if found is None or not found >= 0:
        raise Decline("epsilon is no number")
    return found


def ones(op: Builder, x: ir.Value, axis: int) -> ir.Value:
    """Make a scale of ones for the axes from this one to the last."""
    known: tuple[int | str | None, ...] = graph.dims(x) or ()
    sizes = tuple(d for d in known[axis:] if isinstance(d, int))
    if len(sizes) != -axis or x.dtype is None:
        raise Decline("the size of a normalized axis is unknown")
    return op.constant(np.ones(sizes, x.dtype.numpy()))


def fitting(value: ir.Value, shape: tuple[int, ...], rank: int | None) -> np.ndarray:
    """Return a constant as float64 of the normalized axes' shape; Decline one that differs."""
    numbers = _affine.floats(value).astype(np.float64)
    outer = numbers.shape[: max(0, numbers.ndim - len(shape))]
    if any(int(d) != 1 for d in outer) or rank is None or numbers.ndim > rank:
        raise Decline("the constant varies along other axes than the normalized ones")
    inner = numbers.reshape(numbers.shape[len(outer) :])
    sizes: tuple[int, ...] = inner.shape
    if any(d not in (1, size) for d, size in zip(sizes[::-1], shape[::-1], strict=False)):
        raise Decline("the constant does not fit the normalized axes")
    return np.broadcast_to(inner, shape)


def product(numbers: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Multiply in float64 and round once."""
    return _affine.rounded(numbers.astype(np.float64) * factor, numbers.dtype)


def again(
    op: Builder, node: ir.Node, x: ir.Value, scale: np.ndarray, bias: np.ndarray | None
) -> ir.Value:
    """Build a normalization with the attributes of another."""
    if len(node.outputs) > 1:
        raise Decline("mean and deviation are outputs too")
    arrays = [scale] if bias is None else [scale, bias]
    return op.copy(node, [x, *(op.constant(array) for array in arrays)])
