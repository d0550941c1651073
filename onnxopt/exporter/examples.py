"""Examples to export with, and the same at other sizes of the open axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from onnxopt.errors import OnnxoptError
from onnxopt.exporter.notation import names
from onnxopt.feeds import Plan, resolved
from onnxopt.framework import Declared, RefusedError, Subject
from onnxopt.signature import Need, kind_of
from onnxopt.target import Feeds

_BELOW = (1000, 100, 10, 2, 1)
"""Bounds for made-up whole numbers, which may be indices of a table of unknown length."""

_MOST = 12
"""Sizes that are tried before an axis counts as one that the framework itself keeps fixed."""


def made_up(subject: Subject, signature: Sequence[Declared], seed: int) -> Feeds:
    """Make up an example that the framework accepts; raises RefusedError where it takes none."""
    refusal: OnnxoptError | None = None
    for below in _BELOW if subject.checks_indices else _BELOW[-2:]:
        plan = _plan(signature, below)
        for at, sizes in enumerate(plan.sizes()):
            if at >= _MOST:
                break
            feeds = plan.feeds({name: max(size, 2) for name, size in sizes.items()}, seed=seed)
            try:
                subject.run(feeds)
                return feeds
            except RefusedError as error:
                refusal = refusal or error
        if not any(each.dtype.is_integer() for each in signature):
            break
    raise refusal or RefusedError("no sizes were found that the model accepts")


def _plan(signature: Sequence[Declared], below: int) -> Plan:
    found = []
    for each in signature:
        bound = below if each.dtype.is_integer() else None
        kind = kind_of(each.name, each.dtype, each.dims, bound)
        found.append(Need(each.name, each.dtype, each.dims, kind, bound))
    return Plan.for_needs(tuple(found))


def recombined(example: Feeds, rows: int, seed: int) -> Feeds | None:
    """Make rows of those of an example: every column of each from a row drawn at random.

    None where the inputs do not have one number of rows, or only one.
    """
    counts = {len(array) if array.ndim else 0 for array in example.values()}
    if len(counts) != 1 or min(counts) < 2:
        return None
    random = np.random.default_rng(seed)
    made = {}
    for name, array in example.items():
        flat = array.reshape(len(array), -1)
        drawn = random.integers(len(flat), size=(rows, flat.shape[1]))
        made[name] = np.take_along_axis(flat, drawn, axis=0).reshape(rows, *array.shape[1:])
    return made


def other_sizes(
    signature: Sequence[Declared], sizes: Mapping[str, int]
) -> Iterator[dict[str, int]]:
    """Yield other sizes for the open axes: all of them changed first, then only those of axis 0."""
    rows = {dim for each in signature for dim in each.dims[:1] if isinstance(dim, str)}
    inner = [name for name in names(signature) if name not in rows]
    outer = {name: sizes[name] + 1 for name in sizes if name in rows}
    if inner:
        for change in (_longer, _double, _aligned, _half):
            yield {**sizes, **outer, **{name: change(sizes[name]) for name in inner}}
    if outer:
        yield {**sizes, **outer}


def negated(feeds: Feeds) -> Feeds | None:
    """Return feeds with the signs of floating-point numbers changed, but for masks.

    None where there are no such numbers.
    """
    floats = {
        name
        for name, array in feeds.items()
        if array.dtype.kind == "f" and array.any() and "mask" not in name.lower()
    }
    changed = {name: -array if name in floats else array for name, array in feeds.items()}
    return changed if floats else None


def _longer(size: int) -> int:
    return size + 7


def _double(size: int) -> int:
    return 2 * size


def _aligned(size: int) -> int:
    return size + 32


def _half(size: int) -> int:
    return max(2, size // 2)


def resized(signature: Sequence[Declared], feeds: Feeds, sizes: Mapping[str, int]) -> Feeds:
    """Return an example at other sizes, made of the same numbers in another order.

    Ids stay ids, masks stay masks: where an axis grows, what is there is repeated, shifted along
    another axis. Masks are repeated as they are: shifted, one could hide all that a place may look
    at, where every implementation computes something else.
    """
    found = {}
    for each in signature:
        array, mask = feeds[each.name], "mask" in each.name.lower()
        for axis, dim in enumerate(each.dims):
            array = _stretched(array, axis, resolved(dim, sizes), shifted=not mask)
        found[each.name] = np.array(array, order="C")
    return found


def _stretched(array: np.ndarray, axis: int, size: int, *, shifted: bool) -> np.ndarray:
    old = array.shape[axis]
    if size <= old:
        return array.take(range(size), axis)
    if not old:
        return np.zeros((*array.shape[:axis], size, *array.shape[axis + 1 :]), array.dtype)
    along = (array.ndim - 1 if axis < array.ndim - 1 else 0) if array.ndim > 1 else 0
    parts = [np.roll(array, shift * shifted, along) for shift in range(-(-size // old))]
    return np.concatenate(parts, axis).take(range(size), axis)
