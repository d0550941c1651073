"""Operators that put tensors side by side and take them apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import numpy as np

from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.place import Place, Row, Surgery, lost
from onnxopt.shapes.call import normalize
from onnxopt.shapes.extent import Extent


def _concat(place: Place) -> Sequence[Axes | None]:
    """Along one axis the labels of all follow each other; other axes meet."""
    sides = [place.labelled(index) for index in range(len(place.node.inputs))]
    known = [axes for axes in sides if axes is not None]
    if len(known) < len(sides) or not known:
        return lost(place, *sides)
    along = normalize(place.integer("axis", 0), len(known[0]))
    found: list[Axis] = []
    for axis in range(len(known[0])):
        column = [axes[axis] for axes in known]
        if axis == along:
            sizes = [(place.shape(index) or ())[along] for index in range(len(sides))]
            found.append(joined(place, column, sizes))
        else:
            met = column[0]
            for other in column[1:]:
                met = place.meet(met, other)
            found.append(met)
    return [tuple(found)]


def joined(place: Place, parts: Sequence[Axis], sizes: Sequence[Extent]) -> Axis:
    """Return the labels of an axis that others make one after the other."""
    if all(isinstance(part, Fixed) for part in parts):
        return parts[0]
    if not all(isinstance(size, int) for size in sizes):
        place.pin_all(parts, f"{place.name} joins it with an axis of unknown extent")
        return Fixed(f"{place.name} joins axes of unknown extent")
    pieces = []
    for part, size in zip(parts, sizes, strict=True):
        piece = part
        if isinstance(piece, Fixed):
            piece = place.fresh(size if isinstance(size, int) else 0)
            place.pin(piece, part.reason if isinstance(part, Fixed) else "")
        pieces.append(piece)
    return np.concatenate(pieces)


def _split(place: Place) -> Sequence[Axes | None]:
    """Each output has the labels of its stretch; the sizes follow what stays of each."""
    x = place.labelled(0)
    if x is None:
        return [None]
    along = normalize(place.integer("axis", 0), len(x))
    shapes = [place.out(index) for index in range(len(place.node.outputs))]
    sizes = [None if shape is None else shape[along] for shape in shapes]
    numbers = [size for size in sizes if isinstance(size, int)]
    labels = x[along]
    if isinstance(labels, Fixed):
        return [x] * len(sizes)
    if len(numbers) < len(sizes) or sum(numbers) != len(labels):
        fixed = place.pin(labels, f"{place.name} splits it in parts of unknown sizes")
        return [(*x[:along], fixed, *x[along + 1 :])] * len(sizes)
    parts = np.split(labels, list(accumulate(numbers))[:-1])
    place.later(partial(_new_sizes, place, parts), labels)
    return [(*x[:along], part, *x[along + 1 :]) for part in parts]


def _new_sizes(place: Place, parts: Sequence[np.ndarray], surgery: Surgery) -> None:
    sizes = [int(surgery.kept(part).sum()) for part in parts]
    if place.version < 13:
        surgery.attribute(place.node, "split", sizes)
        return
    place.node.attributes.pop("num_outputs", None)
    surgery.sizes(place.node, 1, sizes)


ROWS: dict[str, Row] = {"Concat": _concat, "Split": _split}
