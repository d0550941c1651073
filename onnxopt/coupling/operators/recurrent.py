"""LSTM, GRU and RNN: units are the numbers of the hidden state, in all gates and directions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.place import Place, Role, Row, Surgery, lost

_MAKES = {1: Role.PRODUCES, 2: Role.READS}


def _recurrent(gates: int, place: Place) -> Sequence[Axes | None]:
    """``w [d, gates h, i]``, ``r [d, gates h, h]``, ``b [d, 2 gates h]``, states ``[d, b, h]``."""
    x, w, r = place.labelled(0), place.kernel(1, _MAKES), place.kernel(2, _MAKES)
    hidden = place.extent(2, 2)
    if x is None or w is None or r is None or not isinstance(hidden, int):
        return lost(place, x, w, r)
    units = place.fresh(hidden)
    directions = [w[0], r[0]]
    place.meet(w[1], np.tile(units, gates))
    place.meet(r[1], np.tile(units, gates))
    place.meet(r[2], units)
    place.meet(w[2], x[2])
    directions += _vector(place, 3, np.tile(units, 2 * gates), Role.PRODUCES)
    directions += _vector(place, 7, np.tile(units, 3), Role.CARRIES)
    place.pin_all(place.labelled(4) or (), f"{place.name} reads lengths from it")
    states = _states(place, units)
    place.pin_all((*directions, *x[:2]), f"{place.name} runs along it")
    place.later(partial(_narrower, place, units), units)
    steps, rows = Fixed("a sequence"), Fixed("a batch")
    whole: Axes = (steps, Fixed("directions"), rows, units)
    return [whole, *[states] * (len(place.node.outputs) - 1)]


def _vector(place: Place, index: int, labels: Axis, role: Role) -> list[Axis]:
    """Let a table ``[d, n]``, where it is given, follow an axis; return its first."""
    if not place.has(index):
        return []
    axes = place.kernel(index, {1: role})
    if axes is None or len(axes) != 2:
        place.pin(labels, f"{place.name} has an operand of unknown shape")
        return []
    place.meet(axes[1], labels)
    return [axes[0]]


def _states(place: Place, units: Axis) -> Axes:
    for index in (5, 6):
        if not place.has(index):
            continue
        axes = place.labelled(index)
        if axes is None or len(axes) != 3:
            place.pin(units, f"{place.name} has a state of unknown shape")
            continue
        place.pin_all(axes[:2], f"{place.name} runs along it")
        place.meet(axes[2], units)
    return (Fixed("directions"), Fixed("a batch"), units)


def _narrower(place: Place, units: Axis, surgery: Surgery) -> None:
    surgery.attribute(place.node, "hidden_size", int(surgery.kept(units).sum()))


ROWS: dict[str, Row] = {
    "GRU": partial(_recurrent, 3),
    "LSTM": partial(_recurrent, 4),
    "RNN": partial(_recurrent, 1),
}
