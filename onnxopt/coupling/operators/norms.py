"""Normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxopt.coupling.labels import Axes, Fixed
from onnxopt.coupling.operators.elementwise import over
from onnxopt.coupling.place import ONE, Place, Role, Row, Surgery, lost


def _batch(place: Place) -> Sequence[Axes | None]:
    """Scale, shift, mean and variance are one number a channel each."""
    x = place.labelled(0)
    if x is None or len(x) < 2:
        return lost(place, x)
    for index in range(1, 5):
        place.bias(index, x[1], Role.CARRIES)
    return [x]


def _instance(place: Place) -> Sequence[Axes | None]:
    """Scale and shift are one number a channel each; statistics are those of one channel."""
    x = place.labelled(0)
    if x is None or len(x) < 2:
        return lost(place, x)
    place.bias(1, x[1], Role.CARRIES)
    place.bias(2, x[1], Role.CARRIES)
    rest = place.pin_all(x[2:], f"{place.name} takes its statistics over it")
    return [(*x[:2], *rest)]


def _layer(place: Place) -> Sequence[Axes | None]:
    """Scale and shift follow the last axes; statistics are those of what is left of them."""
    x = place.labelled(0)
    axes = over(place, [0, 1, 2])
    if x is None or axes is None:
        return lost(place, x)
    axis = place.integer("axis", -1) % len(axes)
    place.averages(axes[axis:])
    small = (*axes[:axis], *[ONE] * (len(axes) - axis))
    return [axes, small, small]


def _skip(place: Place) -> Sequence[Axes | None]:
    """The sum of two inputs, then as LayerNormalization; the last output is the sum."""
    axes = over(place, range(len(place.node.inputs)))
    if axes is None:
        return [None]
    place.averages(axes[-1:])
    small = (*axes[:-1], ONE)
    return [axes, small, small, axes]


def _group(place: Place) -> Sequence[Axes | None]:
    """Whole groups leave; the channels of a single group do, and its statistics are of the rest."""
    x, channels = place.labelled(0), place.extent(0, 1)
    groups = place.integer("num_groups", 1)
    if x is None or not isinstance(channels, int):
        return lost(place, x)
    rest = place.pin_all(x[2:], f"{place.name} takes its statistics over it")
    if groups == 1:
        place.averages(x[1:2])
    each = channels // groups
    units = place.fresh(groups) if groups > 1 else ONE
    if not isinstance(units, Fixed):
        place.meet(x[1], np.repeat(units, each))
        place.later(partial(_fewer_groups, place, units), units)
    for index in (1, 2):
        whole = place.extent(index, 0) == channels
        place.bias(index, x[1] if whole else units, Role.CARRIES)
    return [(*x[:2], *rest)]


def _fewer_groups(place: Place, units: np.ndarray, surgery: Surgery) -> None:
    surgery.attribute(place.node, "num_groups", int(surgery.kept(units).sum()))


def _lp(place: Place) -> Sequence[Axes | None]:
    """The length of a vector is that of what is left."""
    x = place.labelled(0)
    if x is not None:
        place.averages([x[place.integer("axis", -1)]])
    return [x]


def _across(place: Place) -> Sequence[Axes | None]:
    """Neighbouring channels are summed, so that all have to stay."""
    x = place.labelled(0)
    if x is None:
        return [None]
    return [(x[0], place.pin(x[1], f"{place.name} looks at its neighbours"), *x[2:])]


ROWS: dict[str, Row] = {
    "BatchNormalization": _batch,
    "GroupNormalization": _group,
    "InstanceNormalization": _instance,
    "LRN": _across,
    "LayerNormalization": _layer,
    "LpNormalization": _lp,
    "RMSNormalization": _layer,
    "SimplifiedLayerNormalization": _layer,
}
MICROSOFT: dict[str, Row] = {
    "SimplifiedLayerNormalization": _layer,
    "SkipLayerNormalization": _skip,
    "SkipSimplifiedLayerNormalization": _skip,
}
