"""Operators that pick, drop or write elements by position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.shapes import extent
from onnxopt.shapes.bounds import lower, maximum
from onnxopt.shapes.call import Call, Row, normalize
from onnxopt.shapes.contents import array, flat, followed
from onnxopt.shapes.extent import Dims, Extent
from onnxopt.shapes.fact import Content, Contradiction, Fact, Item

INT64 = ir.DataType.INT64
_END = 1 << 30
"""Exporters write the end of an axis as some huge number."""


def _positions(call: Call, index: int) -> np.ndarray | None:
    """Return an input of known integers as an array."""
    shape = followed(INT64, call.shape(index))
    numbers = None if shape is None else call.numbers(index)
    return None if numbers is None else np.array(numbers, dtype=np.int64).reshape(shape or ())


def _source(call: Call) -> np.ndarray | None:
    """Return input 0 as an array of items."""
    shape = followed(call.dtype(0), call.shape(0))
    content = None if shape is None else call.content(0)
    return None if content is None or shape is None else array(content, shape)


def _gather(call: Call) -> Fact:
    """Put the axes of the indices in the place of one axis."""
    fact, indices = call.fact(0), call.shape(1)
    if fact.shape is None or indices is None:
        return Fact(fact.dtype)
    axis = normalize(call.integer("axis", 0), len(fact.shape))
    shape = fact.shape[:axis] + indices + fact.shape[axis + 1 :]
    source = _source(call)
    picks = None if source is None else _positions(call, 1)
    if source is None or picks is None:
        return Fact(fact.dtype, shape)
    size = source.shape[axis]
    if picks.size and not (-size <= picks.min() and picks.max() < size):
        raise Contradiction(f"an index lies outside of axis {axis} of extent {size}")
    return Fact(fact.dtype, shape, flat(np.asarray(source.take(picks, axis), dtype=object)))


def _gather_elements(call: Call) -> Fact:
    """Pick one element for each index, in the shape of the indices."""
    fact, indices = call.fact(0), call.shape(1)
    source = _source(call)
    picks = None if source is None else _positions(call, 1)
    if source is None or picks is None or picks.ndim != 1:
        return Fact(fact.dtype, indices)
    return Fact(fact.dtype, indices, flat(source[picks]))


def _gather_nd(call: Call) -> Fact:
    """``indices[:-1] + data[batch_dims + indices[-1]:]``."""
    data, indices, batch = call.shape(0), call.shape(1), call.integer("batch_dims", 0)
    if data is None or not indices or not isinstance(indices[-1], int):
        return Fact(call.dtype(0))
    shape = indices[:-1] + data[batch + indices[-1] :]
    source = _source(call)
    picks = None if source is None or batch else _positions(call, 1)
    if source is None or picks is None:
        return Fact(call.dtype(0), shape)
    chosen = source[tuple(np.moveaxis(picks, -1, 0))]
    return Fact(call.dtype(0), shape, flat(np.asarray(chosen, dtype=object)))


def _scatter_nd(call: Call) -> Fact:
    """Like the first input, with the updates written at the positions."""
    fact, source = call.fact(0), _source(call)
    picks = None if source is None else _positions(call, 1)
    if source is None or picks is None or call.string("reduction", "none") != "none":
        return Fact(fact.dtype, fact.shape)
    positions = tuple(np.moveaxis(picks, -1, 0))
    return Fact(fact.dtype, fact.shape, _written(source, positions, call))


def _scatter_elements(call: Call) -> Fact:
    fact, source = call.fact(0), _source(call)
    picks = None if source is None else _positions(call, 1)
    plain = call.string("reduction", "none") == "none" and source is not None and source.ndim == 1
    if source is None or picks is None or not plain:
        return Fact(fact.dtype, fact.shape)
    return Fact(fact.dtype, fact.shape, _written(source, (picks,), call))


def _written(source: np.ndarray, positions: tuple[np.ndarray, ...], call: Call) -> Content | None:
    target = source[positions]
    updates = call.content(2)
    unknown: Content = (None,) * int(np.size(target))
    if updates is None or len(updates) != len(unknown):
        updates = unknown
    result = source.copy()
    result[positions] = array(updates, np.shape(target)) if np.shape(target) else updates[0]
    return flat(result)


def _slice(call: Call) -> Fact:
    """Cut some axes from start to end by a step; all three attributes before opset 10."""
    fact = call.fact(0)
    if fact.shape is None:
        return Fact(fact.dtype)
    starts: Content | None = call.ints("starts") or call.content(1)
    ends: Content | None = call.ints("ends") or call.content(2)
    axes = _slice_axes(call, len(fact.shape))
    if axes is None:
        call.stop("the axes it cuts are computed from data")
        return Fact(fact.dtype, (None,) * len(fact.shape))
    count = len(axes)
    steps = call.content(4) if call.has(4) else (1,) * count
    shape = list(fact.shape)
    for place, axis in enumerate(axes):
        start, end, step = (_item(items, place) for items in (starts, ends, steps))
        shape[axis] = _cut(shape[axis], start, end, step)
        if shape[axis] is None:
            call.stop(f"where it cuts axis {axis} is computed from data")
    content = _slice_content(call, axes, (starts, ends, steps))
    return Fact(fact.dtype, tuple(shape), content)


def _slice_axes(call: Call, rank: int) -> tuple[int, ...] | None:
    given = call.ints("axes") or (call.numbers(3) if call.has(3) else None)
    if given is not None:
        return tuple(normalize(axis, rank) for axis in given)
    if call.has(3):
        return None
    starts = call.ints("starts")
    shape = call.shape(1) if starts is None else (len(starts),)
    if shape is None or len(shape) != 1 or not isinstance(shape[0], int) or shape[0] > rank:
        return None
    return tuple(range(shape[0]))


def _item(items: Content | None, place: int) -> Extent:
    item: Item = items[place] if items is not None and place < len(items) else None
    return None if isinstance(item, float) else item


def _cut(size: Extent, start: Extent, end: Extent, step: Extent) -> Extent:
    """Return the length of ``range(size)[start:end:step]``."""
    if not isinstance(step, int) or start is None or end is None:
        return None
    if step == 0:
        raise Contradiction("it cuts with step 0")
    if isinstance(size, int) and isinstance(start, int) and isinstance(end, int):
        return len(range(size)[start:end:step])
    if step < 0:
        reversed_whole = start == -1 and isinstance(end, int) and end <= -_END
        return extent.over_up(size, -step) if reversed_whole else None
    return extent.over_up(_span(size, start, end), step)


def _span(size: Extent, start: Extent, end: Extent) -> Extent:
    """Return the length of ``range(size)[start:end]``, the edges symbolic or not."""
    full = end == size or (isinstance(end, int) and end >= _END)
    if start == 0 and (full or _not_negative(end)):  # an extent is never negative
        return size if full else extent.smallest(size, end)
    if isinstance(start, int) and start < 0:
        first = extent.largest(extent.plus(size, start), 0)
        if full:
            return extent.smallest(size, -start)
    else:
        first = start if start is not None and _not_negative(start) else None
    if full:
        last = size
    elif isinstance(end, int) and end < 0:
        last = extent.plus(size, end)
    else:
        last = extent.smallest(size, end) if end is not None and _not_negative(end) else None
    length = extent.minus(last, first)
    return None if length is None else maximum(length, 0)


def _not_negative(size: Extent) -> bool:
    low = None if size is None else lower(size)
    return low is not None and low >= 0


def _slice_content(
    call: Call, axes: tuple[int, ...], edges: tuple[Content | None, Content | None, Content | None]
) -> Content | None:
    source = _source(call)
    if source is None:
        return None
    cuts = [slice(None)] * source.ndim
    for place, axis in enumerate(axes):
        start, end, step = (_item(items, place) for items in edges)
        if not (isinstance(start, int) and isinstance(end, int) and isinstance(step, int)):
            return None
        cuts[axis] = slice(*slice(start, end, step).indices(source.shape[axis]))
        if step < 0 and cuts[axis].stop < 0:
            cuts[axis] = slice(cuts[axis].start, None, step)
    return flat(source[tuple(cuts)])


def _top_k(call: Call) -> Sequence[Fact]:
    """Shrink the axis to k, an attribute before opset 10."""
    shape = call.shape(0)
    if shape is None:
        return [Fact(call.dtype(0)), Fact(INT64)]
    axis = normalize(call.integer("axis", -1), len(shape))
    content = call.content(1) if call.has(1) else (call.integer("k", 0),)
    size = _item(content, 0)
    if size is None:
        call.stop("how many it keeps is computed from data")
    result = (*shape[:axis], size, *shape[axis + 1 :])
    return [Fact(call.dtype(0), result), Fact(INT64, result)]


def _one_hot(call: Call) -> Fact:
    """Add an axis as long as the second input says."""
    indices = call.shape(0)
    if indices is None:
        return Fact(call.dtype(2))
    axis = normalize(call.integer("axis", -1), len(indices) + 1)
    content = call.content(1)
    item = content[0] if content else None
    depth = int(item) if isinstance(item, float) else item
    if depth is None:
        call.stop("the length of its new axis is computed from data")
    return Fact(call.dtype(2), (*indices[:axis], depth, *indices[axis:]))


def _non_zero(call: Call) -> Fact:
    """One column for each nonzero element."""
    shape = call.shape(0)
    call.depends_on_data("how many elements are nonzero is only known from the data")
    return Fact(INT64, (None if shape is None else max(len(shape), 1), None))


def _compress(call: Call) -> Fact:
    shape = call.shape(0)
    call.depends_on_data("how many elements it keeps is only known from the data")
    if "axis" not in call.attributes:
        return Fact(call.dtype(0), (None,))
    if shape is None:
        return Fact(call.dtype(0))
    place = normalize(call.integer("axis", 0), len(shape))
    return Fact(call.dtype(0), (*shape[:place], None, *shape[place + 1 :]))


def _unique(call: Call) -> Sequence[Fact]:
    shape = call.shape(0)
    call.depends_on_data("how many elements are different is only known from the data")
    kept: Dims | None = (None,)
    if "axis" in call.attributes and shape is not None:
        place = normalize(call.integer("axis", 0), len(shape))
        kept = (*shape[:place], None, *shape[place + 1 :])
    elif "axis" in call.attributes:
        kept = None
    count = Fact(INT64, (None,))
    return [Fact(call.dtype(0), kept), count, count, count]


def _non_max_suppression(call: Call) -> Fact:
    call.depends_on_data("how many boxes it keeps is only known from the data")
    return Fact(INT64, (None, 3))


ROWS: dict[str, Row] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "ScatterElements": _scatter_elements,
    "Slice": _slice,
    "TopK": _top_k,
    "OneHot": _one_hot,
    "NonZero": _non_zero,
    "Compress": _compress,
    "Unique": _unique,
    "NonMaxSuppression": _non_max_suppression,
}
