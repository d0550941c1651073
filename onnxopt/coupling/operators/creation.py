"""Operators that make or repeat positions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.operators.elementwise import like_first
from onnxopt.coupling.place import Place, Row, Surgery, lost
from onnxopt.shapes import Dim


def _expand(place: Place) -> Sequence[Axes | None]:
    """Axes of extent 1 are repeated; how often follows what it meets."""
    x, before, after, length = place.labelled(0), place.shape(0), place.out(), place.shape(1)
    if x is None or before is None or after is None or not length:
        return lost(place, x)
    skip = len(after) - len(before)
    found: list[Axis] = []
    for axis, size in enumerate(after):
        old = axis - skip
        found.append(x[old] if old >= 0 and before[old] != 1 else place.of_extent(size))
    if isinstance(length[0], int):
        new = [axis - skip < 0 or before[axis - skip] == 1 for axis in range(len(after))]
        place.later(partial(_new_extents, place, 1, found, new, length[0]), *found)
        return [tuple(found)]
    return [tuple(place.pin_all(found, f"{place.name} takes a shape of unknown length"))]


def _new_extents(
    place: Place,
    index: int,
    axes: Sequence[Axis],
    new: Sequence[bool],
    length: int,
    surgery: Surgery,
) -> None:
    sizes: list[int | None] = []
    for axis, made in list(zip(axes, new, strict=True))[len(axes) - length :]:
        if isinstance(axis, Fixed):
            sizes.append(None)
        else:
            sizes.append(int(surgery.kept(axis).sum()) if made else 1)
    surgery.sizes(place.node, index, sizes)


def _constant_of_shape(place: Place) -> Sequence[Axes | None]:
    """Every extent follows what it meets."""
    after = place.out()
    if after is None:
        return [None]
    found = tuple(place.of_extent(size) for size in after)
    place.later(partial(_new_extents, place, 0, found, [True] * len(found), len(found)), *found)
    return [found]


def _tile(place: Place) -> Sequence[Axes | None]:
    """The labels of an axis are repeated with it; the extent need not be known."""
    x, repeats = place.labelled(0), place.content(1)
    if x is None:
        return lost(place, x)
    found: list[Axis] = []
    for axis, labels in enumerate(x):
        times = None if repeats is None else repeats[axis]
        if isinstance(labels, Fixed) or times == 1:
            found.append(labels)
        elif isinstance(times, int):
            found.append(np.tile(labels, times))
        elif isinstance(place.extent_out(axis), Dim):
            found.append(labels)
        else:
            found.append(place.pin(labels, f"{place.name} repeats it"))
    return [tuple(found)]


def _range(place: Place) -> Sequence[Axes | None]:
    """Numbers that follow each other: none can be left out."""
    for index in range(3):
        place.pin_all(place.labelled(index) or (), f"{place.name} counts with it")
    return [(Fixed(f"{place.name} counts along it"),)]


ROWS: dict[str, Row] = {
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "RandomNormalLike": like_first,
    "RandomUniformLike": like_first,
    "Range": _range,
    "Tile": _tile,
}
