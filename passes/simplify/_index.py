"""Indices that count along axes: tensors of integers that are affine in the position."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxopt import graph, shapes
from onnxopt.passes.simplify._facts import Extent, extents, uniform
from onnxopt.rewrite import Decline
from onnxopt.shapes import Dim

Number: TypeAlias = int | Dim

_DEPTH = 16
_LARGEST = 1 << 16
_REPEATING = ("Expand", "Identity", "Reshape", "Squeeze", "Tile", "Transpose", "Unsqueeze")
_ORDERING = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
FILLING = ("Cast", "ConstantOfShape", *_ORDERING, *_REPEATING)
"""Operators whose output ``constantly`` may tell."""
_INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)


@dataclasses.dataclass(frozen=True)
class Affine:
    """A tensor that is ``offset + sum(steps[k] * i_k)`` at the position ``(i_0, i_1, …)``."""

    steps: tuple[Number, ...]
    offset: Number

    def along(self) -> list[int]:
        """Return the axes along which it changes."""
        return [axis for axis, step in enumerate(self.steps) if step != 0]


def affine(value: ir.Value | None, depth: int = _DEPTH) -> Affine | None:
    """Return a tensor of integers as affine in the position; None where it is not known to be."""
    if value is None or value.dtype not in _INTEGERS or depth == 0:
        return None
    if graph.tensor(value) is not None:
        return _constant(value)
    node = value.producer()
    if node is None or node.domain:
        return None
    match node.op_type:
        case "Range":
            return _range(node)
        case "Cast" | "Identity":
            return affine(node.inputs[0], depth - 1)
        case "Unsqueeze" | "Squeeze" | "Reshape" | "Expand":
            return _viewed(node, affine(node.inputs[0], depth - 1))
        case "Add" | "Mul":
            return _combined(node, [affine(each, depth - 1) for each in node.inputs])
        case _:
            found = shapes.symbolic_value(value)
            rank = graph.rank(value)
            one = found is not None and len(found) == 1 and rank is not None
            return Affine((0,) * (rank or 0), found[0]) if found is not None and one else None


def _constant(value: ir.Value) -> Affine | None:
    held = graph.array(value, at_most=_LARGEST)
    if held is None or held.size == 0:
        return None
    first = int(held.flat[0])
    steps, expected = [], np.full(held.shape, first, np.int64)
    for axis, size in enumerate(held.shape):
        place = tuple(int(axis == other and size > 1) for other in range(held.ndim))
        steps.append(int(held[place]) - first)
        along = np.arange(size).reshape([size if axis == k else 1 for k in range(held.ndim)])
        expected = expected + steps[-1] * along
    return Affine(tuple(steps), first) if bool(np.array_equal(expected, held)) else None


def _range(node: ir.Node) -> Affine | None:
    ends = [shapes.symbolic_value(each) for each in node.inputs if each is not None]
    if len(ends) != 3 or ends[0] is None or ends[2] is None:
        return None
    return Affine((ends[2][0],), ends[0][0])


def _viewed(node: ir.Node, inner: Affine | None) -> Affine | None:
    """Follow axes of one element that come or go, and new ones along which nothing changes."""
    before, after = extents(node.inputs[0]), extents(node.outputs[0])
    if inner is None or before is None or after is None:
        return None
    if node.op_type == "Expand":
        lead = len(after) - len(before)
        if any(old not in (1, new) for old, new in zip(before, after[lead:], strict=True)):
            return None
        kept = (0 if old == 1 else step for step, old in zip(inner.steps, before, strict=True))
        return Affine((0,) * lead + tuple(kept), inner.offset)
    pending = [(s, d) for s, d in zip(inner.steps, before, strict=True) if d != 1]
    if [d for d in after if d != 1] != [d for _, d in pending] or None in after:
        return None
    steps = iter(pending)
    return Affine(tuple(0 if d == 1 else next(steps)[0] for d in after), inner.offset)


def _combined(node: ir.Node, sides: list[Affine | None]) -> Affine | None:
    one, other = sides
    rank = graph.rank(node.outputs[0])
    if one is None or other is None or rank is None:
        return None
    left, right = ((0,) * (rank - len(side.steps)) + side.steps for side in (one, other))
    if node.op_type == "Add":
        sums = tuple(a + b for a, b in zip(left, right, strict=True))
        return Affine(sums, one.offset + other.offset)
    if one.along():
        one, other, left, right = other, one, right, left
    if one.along():
        return None
    return Affine(tuple(step * one.offset for step in right), other.offset * one.offset)


def whole_axes(parts: list[Affine], index: tuple[Extent, ...]) -> tuple[int, ...]:
    """Return the axis of the index along which each axis of the data is counted off.

    Each part says where in one axis of the data; it must run through it from its start, in steps of
    1, along one axis of the index that no other part runs along. Raises Decline.
    """
    axes: list[int] = []
    for part in parts:
        along = part.along()
        if len(along) != 1 or part.steps[along[0]] != 1 or part.offset != 0:
            raise Decline("not counted off one by one")
        axes.append(along[0])
    if axes != sorted(set(axes)) or None in index:
        raise Decline("another order, or an extent that is not known")
    return tuple(axes)


def nonnegative(number: Number) -> bool:
    """Return whether a polynomial over extents is zero or more: none of its terms is negative."""
    if isinstance(number, int):
        return number >= 0
    plain = all(atom.kind in ("symbol", "raw", "hidden") for m, _ in number.terms for atom, _ in m)
    return plain and all(factor > 0 for _, factor in number.terms)


def constantly(value: ir.Value | None, depth: int = _DEPTH) -> float | None:
    """Return the number that all elements are, of a tensor whose shape may vary; else None."""
    known = uniform(value)
    node = None if value is None else value.producer()
    if known is not None or node is None or node.domain or depth == 0:
        return known
    match node.op_type:
        case "ConstantOfShape":
            held = node.attributes.get("value")
            return 0.0 if held is None else float(held.as_tensor().numpy().item())
        case "Cast":
            found = constantly(node.inputs[0], depth - 1)
            to_bool = node.outputs[0].dtype == ir.DataType.BOOL
            return float(found != 0) if to_bool and found is not None else None
        case kind if kind in _ORDERING:
            return _ordered(node)
        case kind if kind in _REPEATING:
            return constantly(node.inputs[0], depth - 1)
        case _:
            return None


def _ordered(node: ir.Node) -> float | None:
    """Return 1 for a comparison of indices that holds at every position; else None."""
    low, high = affine(node.inputs[0]), affine(node.inputs[1])
    rank = graph.rank(node.outputs[0])
    if low is None or high is None or rank is None:
        return None
    if node.op_type.startswith("Greater"):
        low, high = high, low
    below, above = ((0,) * (rank - len(side.steps)) + side.steps for side in (low, high))
    steps = [b - a for a, b in zip(below, above, strict=True)]
    least = high.offset - low.offset - (0 if node.op_type.endswith("OrEqual") else 1)
    return 1.0 if nonnegative(least) and all(map(nonnegative, steps)) else None
