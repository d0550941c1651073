"""Operators that give the same elements another shape or order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxopt.coupling.digits import Digit, refine
from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.operators.shuffling import follow, shuffled
from onnxopt.coupling.place import ONE, UNKNOWN, Place, Row, Surgery, live, lost
from onnxopt.shapes.extent import Dims


@dataclasses.dataclass
class Regrouping:
    """The digits of a reshape, of which some have labels."""

    place: Place
    digits: list[Digit]
    labels: list[Axis]

    def of(self, axis: int, *, after: bool) -> list[int]:
        """Return the digits of an axis, outermost first."""
        side = [digit.after if after else digit.before for digit in self.digits]
        return [index for index, at in enumerate(side) if at == axis]


def regroup(place: Place, axes: Axes, before: Dims, after: Dims) -> Axes:
    """Return the axes after a reshape: of an axis that is split, one factor has the labels."""
    digits = refine(before, after)
    state = Regrouping(place, digits, [UNKNOWN] * len(digits))
    for axis, labels in enumerate(axes):
        if isinstance(labels, Fixed):
            for index in state.of(axis, after=False):
                state.labels[index] = labels
        elif before[axis] != 1:
            _split(state, axis, labels)
    return tuple(_merged(state, axis) if size != 1 else ONE for axis, size in enumerate(after))


def _split(state: Regrouping, axis: int, labels: np.ndarray) -> None:
    """Give one digit of an axis its labels; positions that differ in others leave together."""
    place = state.place
    mine = state.of(axis, after=False)
    if any(state.digits[index].after is None for index in mine):
        place.pin(labels, f"{place.name} regroups it in no whole factors")
        return
    for index in mine:
        state.labels[index] = Fixed(f"a factor of an axis that {place.name} splits")
    if len(mine) == 1:
        state.labels[mine[0]] = labels
        return
    tail = _static_tail(state, mine)
    count = math.prod(_numbers(state, tail))
    if not tail or (len(tail) < len(mine) and math.lcm(count, len(labels)) > 1 << 22):
        place.pin(labels, f"{place.name} splits it into factors of unknown extents")
        return
    whole = np.resize(labels, math.lcm(count, len(labels)))
    candidates = [index for index in tail if state.digits[index].extent != 1]
    at = min(place.state.choices.get(place.node, 0), len(candidates) - 1)
    chosen = candidates[at]
    sizes = [-1, *_numbers(state, tail)]
    grid: np.ndarray = np.moveaxis(whole.reshape(sizes), 1 + tail.index(chosen), 0)
    grid = grid.reshape(sizes[1 + tail.index(chosen)], -1)
    place.labels.merge(np.repeat(grid[:, :1], grid.shape[1], axis=1).ravel(), grid.ravel())
    state.labels[chosen] = np.ascontiguousarray(grid[:, 0])
    place.state.decided[place.node] = (state.labels[chosen], len(candidates))


def _static_tail(state: Regrouping, mine: list[int]) -> list[int]:
    """Return the last digits of an axis that are numbers."""
    tail: list[int] = []
    for index in reversed(mine):
        if not isinstance(state.digits[index].extent, int):
            break
        tail.insert(0, index)
    return tail


def _merged(state: Regrouping, axis: int) -> Axis:
    """Return the labels of an axis that digits make: those of one of them, repeated."""
    place = state.place
    mine = state.of(axis, after=True)
    if any(state.digits[index].before is None for index in mine):
        place.pin_all([state.labels[index] for index in mine], f"{place.name} regroups it")
        return Fixed(f"{place.name} regroups it in no whole factors")
    alive = [index for index in mine if live(state.labels[index])]
    if not alive:
        return state.labels[mine[0]] if mine else ONE
    at = min(place.state.choices.get(place.node, 0), len(alive) - 1)
    chosen = alive.pop(at)
    for index in alive:
        place.pin(state.labels[index], f"{place.name} joins it with an axis that shrinks")
    labels = state.labels[chosen]
    within, around = mine[mine.index(chosen) + 1 :], mine[: mine.index(chosen)]
    if isinstance(labels, Fixed) or not _static(state, within):
        return place.pin(labels, f"{place.name} joins it with an axis of unknown extent")
    if within:
        labels = np.repeat(labels, math.prod(_numbers(state, within)))
    if not around or not _static(state, around):
        return labels
    return np.tile(labels, math.prod(_numbers(state, around)))


def _numbers(state: Regrouping, indices: list[int]) -> list[int]:
    """Return the extents of those digits that are numbers."""
    sizes = [state.digits[index].extent for index in indices]
    return [size for size in sizes if isinstance(size, int)]


def _static(state: Regrouping, indices: list[int]) -> bool:
    return len(_numbers(state, indices)) == len(indices)


def _reshape(place: Place) -> Sequence[Axes | None]:
    """Axes that are split or joined keep the labels of one factor: of heads, the number."""
    x, before, after = place.labelled(0), place.shape(0), place.out()
    if place.node in place.state.shuffled:
        return [place.state.shuffled[place.node]]
    if x is None or before is None or after is None or 0 in after:
        return lost(place, x)
    shuffle = shuffled(place, x)
    if shuffle is not None:
        return [follow(place, x, shuffle)]
    found = regroup(place, x, before, after)
    wanted = _wanted(place, found, before, after)
    if wanted is None:
        return [tuple(place.pin_all(found, f"{place.name} takes two sizes from elsewhere"))]
    place.later(partial(_new_shape, place, found, wanted), *found)
    return [found]


def _wanted(place: Place, found: Axes, before: Dims, after: Dims) -> list[int | None] | None:
    """Return what the shape has to say: a number, 0 or -1, None for what it says already.

    None instead of a list where two axes that shrink are of unknown extent.
    """
    zeros = not place.integer("allowzero", 0)
    wanted: list[int | None] = []
    free: list[int] = []
    for axis, size in enumerate(after):
        if isinstance(size, int):
            wanted.append(size)
        elif zeros and axis < len(before) and before[axis] == size and not live(found[axis]):
            wanted.append(0)
        else:
            wanted.append(None)
            free.append(axis)
    shrinking = [axis for axis in free if live(found[axis])]
    said = place.content(1) or ()
    solved = [axis for axis in free if axis < len(said) and said[axis] == -1]
    if len(shrinking) > 1 or (shrinking and solved and shrinking != solved):
        return None
    for axis in (shrinking or solved or free)[:1]:
        wanted[axis] = -1
    return wanted


def _new_shape(place: Place, axes: Axes, wanted: list[int | None], surgery: Surgery) -> None:
    sizes = [
        size if isinstance(axis, Fixed) or size in (-1, None) else int(surgery.kept(axis).sum())
        for axis, size in zip(axes, wanted, strict=True)
    ]
    surgery.sizes(place.node, 1, sizes)


def _flatten(place: Place) -> Sequence[Axes | None]:
    """The axes before ``axis`` are joined, and the others."""
    x, before, after = place.labelled(0), place.shape(0), place.out()
    if x is None or before is None or after is None:
        return lost(place, x)
    return [regroup(place, x, before, after)]


def _transpose(place: Place) -> Sequence[Axes | None]:
    """Axes in another order."""
    x = place.labelled(0)
    if x is None:
        return [None]
    order = place.ints("perm") or tuple(reversed(range(len(x))))
    place.stands_for_input(order)
    return [tuple(x[axis] for axis in order)]


def _squeeze(place: Place) -> Sequence[Axes | None]:
    """Axes of extent 1 go; what is left alone on one has to stay."""
    x, shape = place.labelled(0), place.shape(0)
    if x is None or shape is None:
        return lost(place, x)
    gone = place.axes(len(x))
    if gone is None:
        return lost(place, x)
    gone = gone or tuple(axis for axis, size in enumerate(shape) if size == 1)
    place.pin_all([x[axis] for axis in gone], f"{place.name} removes the axis")
    return [tuple(labels for axis, labels in enumerate(x) if axis not in gone)]


def _unsqueeze(place: Place) -> Sequence[Axes | None]:
    """Axes of extent 1 come."""
    x, out = place.labelled(0), place.out()
    if x is None or out is None:
        return lost(place, x)
    new = place.axes(len(out))
    if not new:
        return lost(place, x)
    old = iter(x)
    return [tuple(ONE if axis in new else next(old) for axis in range(len(out)))]


ROWS: dict[str, Row] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
