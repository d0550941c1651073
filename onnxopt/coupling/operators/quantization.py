"""Operators around integers that stand for numbers."""

from __future__ import annotations

from collections.abc import Sequence

from onnxopt.coupling.labels import Axes
from onnxopt.coupling.place import Place, Row, lost


def _scaled(place: Place) -> Sequence[Axes | None]:
    """Scale and zero point are single numbers, or one for each position of an axis."""
    x = place.labelled(0)
    if x is None or place.integer("block_size", 0):
        return lost(place, x)
    place.stands_for_input(range(len(x)))
    for index in (1, 2):
        shape = place.shape(index) if place.has(index) else ()
        if shape is None or len(shape) > 1:
            return lost(place, x)
        if shape and shape[0] != 1:
            place.bias(index, x[place.integer("axis", 1) % len(x)])
    return [x]


ROWS: dict[str, Row] = {"DequantizeLinear": _scaled, "QuantizeLinear": _scaled}
