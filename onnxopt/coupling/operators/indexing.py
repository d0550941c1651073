"""Operators that take some positions of an axis, or add some."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.place import Place, Role, Row, Surgery, lost
from onnxopt.shapes.call import normalize


def _slice(place: Place) -> Sequence[Axes | None]:
    """A stretch of an axis has its labels; the bounds move with what stays before it."""
    x, shape = place.labelled(0), place.shape(0)
    if x is None or shape is None:
        return lost(place, x)
    by_input = place.version >= 10
    given = [
        place.numbers(index) if by_input else place.ints(name)
        for index, name in ((1, "starts"), (2, "ends"))
    ]
    count = _count(place, given)
    axes = place.numbers(3) if by_input else place.ints("axes")
    axes = tuple(range(count)) if not (axes or place.has(3)) else axes
    steps = place.numbers(4) if place.has(4) else (1,) * count
    if axes is None or steps is None or count is None:
        return lost(place, x)
    found, bounds = list(x), {}
    for at, axis in enumerate(normalize(axis, len(x)) for axis in axes):
        labels = x[axis]
        if isinstance(labels, Fixed):
            continue
        edges = [None if numbers is None else numbers[at] for numbers in given]
        if edges[0] is None or edges[1] is None or steps[at] != 1 or shape[axis] != len(labels):
            found[axis] = place.pin(labels, f"{place.name} takes positions that are computed")
            continue
        start, end, _ = slice(edges[0], edges[1]).indices(len(labels))
        found[axis] = labels[start : max(start, end)]
        bounds[at] = (labels[:start], found[axis])
        place.later(partial(_new_bounds, place, count, bounds), labels)
    return [tuple(found)]


def _count(place: Place, given: Sequence[tuple[int, ...] | None]) -> int:
    """Return how many axes are sliced."""
    for numbers in given:
        if numbers is not None:
            return len(numbers)
    shape = place.shape(1)
    return shape[0] if shape and isinstance(shape[0], int) else 0


def _new_bounds(
    place: Place, count: int, bounds: dict[int, tuple[np.ndarray, Axis]], surgery: Surgery
) -> None:
    starts: list[int | None] = [None] * count
    ends: list[int | None] = [None] * count
    for at, (before, inside) in bounds.items():
        start = int(surgery.kept(before).sum())
        starts[at], ends[at] = start, start + int(surgery.kept(inside).sum())
    if place.version >= 10:
        surgery.sizes(place.node, 1, starts)
        surgery.sizes(place.node, 2, ends)
        return
    for name, new in (("starts", starts), ("ends", ends)):
        old = place.ints(name) or ()
        mixed = [a if b is None else b for a, b in zip(old, new, strict=True)]
        surgery.attribute(place.node, name, mixed)


def _gather(place: Place) -> Sequence[Axes | None]:
    """``indices`` take the place of one axis; where they are constant it passes its labels on."""
    indices, rank = place.shape(1), len(place.shape(0) or ())
    makes = dict.fromkeys(range(1, rank), Role.PRODUCES) if rank == 2 else {}
    x = place.kernel(0, makes) if place.constant(0) is not None else place.labelled(0)
    if x is None or indices is None:
        return lost(place, x)
    along = normalize(place.integer("axis", 0), len(x))
    picked = _picked(place, x[along])
    if picked is not None:
        return [(*x[:along], picked, *x[along + 1 :])]
    place.pin(x[along], f"{place.name} picks from it by number")
    at = place.labelled(1) if place.constant(1) is None else (Fixed("indices"),) * len(indices)
    if at is None:
        return lost(place, x)
    return [(*x[:along], *at, *x[along + 1 :])]


def _picked(place: Place, labels: Axis) -> np.ndarray | None:
    """Return the labels that a constant vector of indices picks."""
    tensor = place.constant(1)
    if tensor is None or isinstance(labels, Fixed) or len(tensor.shape) != 1:
        return None
    if place.extent(0, place.integer("axis", 0)) != len(labels):
        return None
    numbers: np.ndarray = tensor.numpy()
    if (
        place.constant(0) is not None
        or numbers.min() < -len(labels)
        or numbers.max() >= len(labels)
    ):
        return None
    picked: np.ndarray = labels[numbers]
    place.later(partial(_new_indices, place, numbers % len(labels), labels), labels)
    return picked


def _new_indices(place: Place, old: np.ndarray, labels: Axis, surgery: Surgery) -> None:
    kept = surgery.kept(labels)
    new = np.cumsum(kept) - 1
    surgery.sizes(place.node, 1, [int(new[index]) for index in old if kept[index]])


def _gather_elements(place: Place) -> Sequence[Axes | None]:
    """Along one axis positions are picked by number; along the others data and indices meet."""
    x, indices = place.labelled(0), place.labelled(1)
    if x is None or indices is None:
        return lost(place, x, indices)
    along = normalize(place.integer("axis", 0), len(x))
    found = list(indices)
    for axis, labels in enumerate(indices):
        if axis == along or place.extent(0, axis) != place.extent(1, axis):
            place.pin(x[axis], f"{place.name} picks from it by number")
        else:
            found[axis] = place.meet(labels, x[axis])
    return [tuple(found)]


def _by_number(place: Place) -> Sequence[Axes | None]:
    """Positions are named by numbers out of a tensor: all have to stay."""
    for index in range(len(place.node.inputs)):
        what = f"{place.name} picks from it by number"
        place.pin_all(place.labelled(index) or (), what)
    return [None] * len(place.node.outputs)


def _pad(place: Place) -> Sequence[Axes | None]:
    """Positions of padding can go like any others, where it is a constant that pads."""
    x, shape = place.labelled(0), place.shape(0)
    if x is None or shape is None:
        return lost(place, x)
    axes = place.numbers(3) if place.has(3) else tuple(range(len(x)))
    pads = place.numbers(1) if place.version >= 11 else place.ints("pads")
    if axes is None:
        return lost(place, x)
    found = list(x)
    added: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for at, axis in enumerate(normalize(axis, len(x)) for axis in axes):
        labels = x[axis]
        if isinstance(labels, Fixed):
            continue
        edges = (0, 0) if pads is None else (pads[at], pads[at + len(axes)])
        constant = place.string("mode", "constant") == "constant"
        plain = constant and min(edges) >= 0 and shape[axis] == len(labels)
        if pads is None or (any(edges) and not plain):
            found[axis] = place.pin(labels, f"{place.name} pads it")
        elif any(edges):
            added[at] = (place.fresh(edges[0]), place.fresh(edges[1]))
            found[axis] = np.concatenate((added[at][0], labels, added[at][1]))
    place.later(
        partial(_new_pads, place, len(axes), added),
        *(side for pair in added.values() for side in pair),
    )
    return [tuple(found)]


def _new_pads(
    place: Place, count: int, added: dict[int, tuple[np.ndarray, np.ndarray]], surgery: Surgery
) -> None:
    pads: list[int | None] = [None] * (2 * count)
    for at, sides in added.items():
        for side, labels in enumerate(sides):
            pads[at + side * count] = int(surgery.kept(labels).sum())
    if place.version >= 11:
        surgery.sizes(place.node, 1, pads)
        return
    old = place.ints("pads") or ()
    mixed = [a if b is None else b for a, b in zip(old, pads, strict=True)]
    surgery.attribute(place.node, "pads", mixed)


_NUMBERED = ("GatherND", "NonZero", "OneHot", "ScatterElements", "ScatterND")

ROWS: dict[str, Row] = {
    **dict.fromkeys(_NUMBERED, _by_number),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Pad": _pad,
    "Slice": _slice,
}
