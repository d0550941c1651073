"""Operators that make one number of many."""

from __future__ import annotations

from collections.abc import Sequence

from onnxopt.coupling.labels import Axes
from onnxopt.coupling.operators.elementwise import fixed
from onnxopt.coupling.place import ONE, Place, Row, lost


def _sum(place: Place) -> Sequence[Axes | None]:
    """A unit of 0 adds nothing, but one that only its readers have lost still counts."""
    x = place.labelled(0)
    axes = _axes(place, x)
    if x is None or axes is None:
        return lost(place, x)
    place.averages([x[axis] for axis in axes])
    return [_reduced(place, x, axes)]


def _mix(place: Place) -> Sequence[Axes | None]:
    """How many positions there are counts, or what is largest: they have to stay."""
    x = place.labelled(0)
    axes = _axes(place, x)
    if x is None or axes is None:
        return lost(place, x)
    return [_reduced(place, fixed(place, x, axes), axes)]


def _mean(place: Place) -> Sequence[Axes | None]:
    """The mean is that of what is left, as a normalisation has it that is written out."""
    x = place.labelled(0)
    axes = _axes(place, x)
    if x is None or axes is None:
        return lost(place, x)
    place.averages([x[axis] for axis in axes])
    return [_reduced(place, x, axes)]


def _axes(place: Place, x: Axes | None) -> tuple[int, ...] | None:
    if x is None:
        return None
    found = place.axes(len(x))
    if found == () and not place.integer("noop_with_empty_axes", 0):
        return tuple(range(len(x)))
    return found


def _reduced(place: Place, x: Axes, axes: Sequence[int]) -> Axes:
    if place.integer("keepdims", 1):
        return tuple(ONE if axis in axes else labels for axis, labels in enumerate(x))
    return tuple(labels for axis, labels in enumerate(x) if axis not in axes)


def _arg(place: Place) -> Sequence[Axes | None]:
    """The number of a position is the result: all have to stay."""
    x = place.labelled(0)
    if x is None:
        return [None]
    axes = (place.integer("axis", 0) % len(x),)
    return [_reduced(place, fixed(place, x, axes), axes)]


def _along(place: Place) -> Sequence[Axes | None]:
    """Positions before count for those after, so that all have to stay."""
    x = place.labelled(0)
    axis = place.numbers(1)
    if x is None or not axis:
        return lost(place, x)
    return [fixed(place, x, [axis[0] % len(x)])]


def _top(place: Place) -> Sequence[Axes | None]:
    """Positions are ranked: all have to stay."""
    x = place.labelled(0)
    if x is None:
        return [None]
    return [fixed(place, x, [place.integer("axis", -1) % len(x)])] * 2


def _triangle(place: Place) -> Sequence[Axes | None]:
    """The last two axes are counted against each other."""
    x = place.labelled(0)
    return [None] if x is None else [fixed(place, x, [len(x) - 2, len(x) - 1])]


_SUMS = ("ReduceL1", "ReduceL2", "ReduceSum", "ReduceSumSquare")
_MIXES = ("ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMin", "ReduceProd")

ROWS: dict[str, Row] = {
    **dict.fromkeys(_SUMS, _sum),
    **dict.fromkeys(_MIXES, _mix),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    "CumSum": _along,
    "ReduceMean": _mean,
    "TopK": _top,
    "Trilu": _triangle,
}
