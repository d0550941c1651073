"""Gathers whose indices count through whole axes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify import _parts
from onnxopt.passes.simplify._facts import Extent, extents, reshape_target
from onnxopt.passes.simplify._index import Affine, affine, whole_axes
from onnxopt.rewrite import Attr, Builder, Const, Decline, Op, PatternOps, Rest, Rule, Var
from onnxopt.shapes import Dim
from onnxopt.shapes.extent import product


class GatherND(Rule):
    """``GatherND(x, concat(i, j, …))`` with indices that count off the axes of x becomes x.

    With axes of one element between its own (Unsqueeze), repeated along those of the index that
    nothing is counted along (Expand), and cut to the counts where these may be smaller than the
    extents of x (Slice).
    """

    since = 13

    def pattern(self, op: PatternOps, x: Var, parts: Rest) -> Op:
        return op.GatherND(x, op.Concat(parts, axis=Attr("axis"), _name="index"))

    def rewrite(
        self,
        op: Builder,
        root: ir.Node,
        x: ir.Value,
        parts: tuple[ir.Value, ...],
        axis: int,
        index: ir.Value,
    ) -> ir.Value:
        rank = graph.rank(index)
        if graph.attr_int(root, "batch_dims", 0) or rank is None or axis not in (-1, rank - 1):
            raise Decline("with batches, or an index joined along another axis")
        found = [affine(part) for part in parts]
        if any((extents(part) or (None,))[-1] != 1 for part in parts):
            raise Decline("parts of several indices")
        known = [Affine(part.steps[:-1], part.offset) for part in found if part is not None]
        shape, dims = extents(index), extents(x)
        if len(known) != len(parts) or shape is None or dims is None or len(dims) != len(parts):
            raise Decline("the indices are not known, or leave axes of x whole")
        return _placed(op, x, dims, whole_axes(known, shape[:-1]), index, shape[:-1])


class FlatGather(Rule):
    """``Gather(view(x), i n + j)`` with an index that counts off the axes of x, likewise.

    The view must be of all of x in one axis; an index beyond an extent is an index beyond the end.
    One that counts through all elements in their order leaves them where they are (Reshape).
    """

    since = 13

    def pattern(self, op: PatternOps, x: Var, rest: Rest, index: Var) -> Op:
        view = op.one_of("Reshape", "Flatten")(x, rest, _name="flat")
        return op.Gather(view, index, axis=Attr("axis", 0))

    def rewrite(
        self,
        op: Builder,
        root: ir.Node,
        x: ir.Value,
        flat: ir.Value,
        index: ir.Value,
        axis: int,
    ) -> ir.Value:
        found, shape, dims = affine(index), extents(index), extents(x)
        if found is None or shape is None or dims is None or None in (*shape, *dims):
            raise Decline("the index is not known, or a shape")
        whole = extents(flat)
        if whole is None or axis != 0 or any(size != 1 for size in whole[1:]):
            raise Decline("not of all elements in one axis")
        if product(shape) == product(dims) and _in_order(found, shape):
            return op.Reshape(x, reshape_target(x, root.outputs[0]))
        x, dims = _without_ones(op, x, dims)
        axes = whole_axes(_unflattened(found, dims), shape)
        made = _placed(op, x, dims, axes, index, shape)
        if len(whole) == 1:
            return made
        last = tuple(range(len(shape), len(shape) + len(whole) - 1))
        return _parts.unsqueeze(op, made, last)


class OneIndex(Rule):
    """``GatherND(x, Unsqueeze(i, -1))`` becomes ``Gather(x, i)`` along the first axis."""

    since = 13

    def pattern(self, op: PatternOps, x: Var, i: Var, axes: Const) -> Op:
        return op.GatherND(x, op.Unsqueeze(i, axes, _name="index"))

    def rewrite(
        self, op: Builder, root: ir.Node, x: ir.Value, i: ir.Value, axes: ir.Value, index: ir.Value
    ) -> ir.Value:
        rank = graph.rank(index)
        if graph.attr_int(root, "batch_dims", 0) or rank is None:
            raise Decline("with batches, or of an unknown rank")
        if graph.ints(axes) not in ((-1,), (rank - 1,)):
            raise Decline("the index is not one number")
        return op.Gather(x, i, axis=0)


def _in_order(index: Affine, shape: tuple[Extent, ...]) -> bool:
    """Return whether an index is the number of its position, row by row."""
    steps = [product(shape[axis + 1 :]) for axis in range(len(shape))]
    pairs = zip(index.steps, steps, shape, strict=True)
    return index.offset == 0 and all(a == b or size == 1 for a, b, size in pairs)


def _without_ones(
    op: Builder, x: ir.Value, dims: tuple[Extent, ...]
) -> tuple[ir.Value, tuple[Extent, ...]]:
    """Drop axes of one element, along which nothing counts."""
    ones = tuple(axis for axis, size in enumerate(dims) if size == 1)
    if not ones:
        return x, dims
    return _parts.squeeze(op, x, ones), tuple(size for size in dims if size != 1)


def _unflattened(index: Affine, dims: tuple[Extent, ...]) -> list[Affine]:
    """Split an index into all elements of a shape into one along each axis."""
    strides: list[int | Dim] = [1]
    for size in dims[:0:-1]:
        if size is None:
            raise Decline("an extent is not known")
        strides.insert(0, size * strides[0])
    if index.offset != 0:
        raise Decline("does not start at the first element")
    parts = []
    for stride in strides:
        steps = tuple(1 if step == stride else 0 for step in index.steps)
        parts.append(Affine(steps, 0))
    counted = sum(step != 0 for part in parts for step in part.steps)
    if counted != len(index.along()) or len(set(map(str, strides))) != len(strides):
        raise Decline("steps of another size")
    return parts


def _placed(
    op: Builder,
    x: ir.Value,
    dims: tuple[Extent, ...],
    axes: tuple[int, ...],
    index: ir.Value,
    shape: tuple[Extent, ...],
) -> ir.Value:
    """Build x with its axes at these places of a shape, cut and repeated to fit."""
    for axis, place in enumerate(axes):
        if dims[axis] != shape[place]:
            end = op.Shape(index, start=place, end=place + 1)
            zero, along = np.array([0], np.int64), np.array([axis], np.int64)
            x = op.Slice(x, zero, end, along)
    added = tuple(axis for axis in range(len(shape)) if axis not in axes)
    if added:
        x = _parts.unsqueeze(op, x, added)
    if all(shape[axis] == 1 for axis in added):
        return x
    return op.Expand(x, op.Shape(index, end=len(shape)))
