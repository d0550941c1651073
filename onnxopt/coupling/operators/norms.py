"""Normalisations."""

from __future__ import annotations

from collections.abc import Sequence

from onnxopt.coupling.labels import Axes
from onnxopt.coupling.operators.windows import lost
from onnxopt.coupling.place import Place, Role, Row


def _batch(place: Place) -> Sequence[Axes | None]:
    """Scale, shift, mean and variance are one number a channel each."""
    x = place.labelled(0)
    if x is None or len(x) < 2:
        return lost(place, x)
    for index in range(1, 5):
        place.bias(index, x[1], Role.CARRIES)
    return [x]


ROWS: dict[str, Row] = {"BatchNormalization": _batch}
MICROSOFT: dict[str, Row] = {}
