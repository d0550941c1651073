"""Operators that treat each element alone, and those that broadcast."""

from __future__ import annotations

from collections.abc import Sequence

from onnxopt.coupling.labels import Axes, Axis
from onnxopt.coupling.place import ONE, UNKNOWN, Place, Row
from onnxopt.ops import BROADCAST, ELEMENTWISE
from onnxopt.shapes.extent import Dims


def like_first(place: Place) -> Sequence[Axes | None]:
    """All outputs have the axes of the first input."""
    axes = place.labelled()
    place.stands_for_input(range(len(axes or ())))
    return [axes] * len(place.node.outputs)


def broadcast(place: Place) -> Sequence[Axes | None]:
    """Axes meet, counted from the last, where neither has extent 1."""
    return [over(place, range(len(place.node.inputs)))]


def over(place: Place, indices: Sequence[int]) -> Axes | None:
    """Return the axes of some inputs broadcast against each other."""
    sides = []
    for index in indices:
        if place.has(index):
            axes, shape = place.labelled(index), place.shape(index)
            if axes is None or shape is None:
                return _unknown(place, indices)
            sides.append((axes, shape))
    rank = max(len(axes) for axes, _ in sides)
    return tuple(_at(place, sides, back) for back in range(-rank, 0))


def _at(place: Place, sides: list[tuple[Axes, Dims]], back: int) -> Axis:
    met: Axis | None = None
    for axes, shape in sides:
        if len(axes) < -back or shape[back] == 1:
            continue
        met = axes[back] if met is None else place.meet(met, axes[back])
    return ONE if met is None else met


def _unknown(place: Place, indices: Sequence[int]) -> Axes | None:
    for index in indices:
        place.pin_all(place.labelled(index) or (), f"{place.name} has an operand of unknown rank")
    out = place.out()
    return None if out is None else (UNKNOWN,) * len(out)


def prelu(place: Place) -> Sequence[Axes | None]:
    """The slope broadcasts to the input."""
    return [over(place, (0, 1))]


def _softmax(place: Place) -> Sequence[Axes | None]:
    """Its axes stay: what a unit of 0 adds to the sum of exponentials is 1."""
    axes = place.labelled()
    if axes is None:
        return [None]
    default = -1 if place.version >= 13 else 1
    axis = place.integer("axis", default) % len(axes)
    summed = range(axis, len(axes)) if place.version < 13 else (axis,)
    return [fixed(place, axes, summed)]


def fixed(place: Place, axes: Axes, which: Sequence[int]) -> Axes:
    """Return the axes, of which some have to stay because the operator mixes their positions."""
    result = list(axes)
    for axis in which:
        result[axis] = place.pin(axes[axis], f"{place.name} mixes its positions")
    return tuple(result)


def _like_type(place: Place) -> Sequence[Axes | None]:
    """Only the element type of the second input counts."""
    place.labelled(1)
    return [place.labelled(0)]


ROWS: dict[str, Row] = {
    **dict.fromkeys(ELEMENTWISE, like_first),
    **dict.fromkeys(BROADCAST, broadcast),
    "BitwiseNot": like_first,
    "Dropout": like_first,
    "CastLike": _like_type,
    "PRelu": prelu,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Hardmax": _softmax,
}
MICROSOFT: dict[str, Row] = {
    "BiasGelu": broadcast,
    **dict.fromkeys(("FastGelu", "QuickGelu", "Gelu"), like_first),
}
