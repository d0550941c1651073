"""Convolutions, pools and what else moves over space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.place import Place, Role, Row, Surgery


def _spatial(place: Place, axes: Axes) -> list[Axis]:
    return place.pin_all(axes[2:], f"{place.name} moves a window along it")


def _conv(place: Place) -> Sequence[Axes | None]:
    """``x [n, c, ..]``, ``w [m, c / group, ..]``: units are channels, or those of grouped ones."""
    group = place.integer("group", 1)
    x = place.labelled(0)
    roles = {0: Role.PRODUCES, 1: Role.READS} if group == 1 else {0: Role.PRODUCES}
    w = place.kernel(1, roles)
    if x is None or w is None:
        return lost(place, x, w)
    rest = [*x[:1], *_spatial(place, x)]
    place.pin_all(w[2:], "a window")
    if group > 1:
        _grouped(place, group, x[1], w[0], w[1])
    else:
        place.meet(x[1], w[1])
    place.bias(2, w[0])
    return [(rest[0], w[0], *rest[1:])]


def _grouped(place: Place, group: int, x: Axis, made: Axis, read: Axis) -> None:
    """Let whole groups leave, or the same positions inside each, whatever gives more units."""
    shape = place.shape(1)
    if shape is None or not isinstance(shape[0], int) or not isinstance(shape[1], int):
        place.pin_all((x, made, read), f"{place.name} has weights of unknown shape")
        return
    each_out, each_in = shape[0] // group, shape[1]
    if group >= min(each_in, each_out):
        place.pin(read, f"{place.name} keeps its groups whole")
        units = place.fresh(group)
        place.meet(made, np.repeat(units, each_out))
        place.meet(x, np.repeat(units, each_in))
        if each_out == each_in == 1:
            _carries(place)
        place.later(partial(_fewer_groups, place, made, each_out), made)
    else:
        place.meet(made, np.tile(place.fresh(each_out), group))
        place.meet(x, np.tile(read, group) if not isinstance(read, Fixed) else read)
        use = place.state.uses.get((place.node, 1))
        if use is not None:
            use.roles[1] = Role.READS


def _carries(place: Place) -> None:
    """A depthwise kernel is one factor for each channel, as a normalisation is."""
    for index, axis in ((1, 0), (2, 0)):
        use = place.state.uses.get((place.node, index))
        if use is not None:
            use.roles[axis] = Role.CARRIES


def _fewer_groups(place: Place, made: Axis, each: int, surgery: Surgery) -> None:
    surgery.attribute(place.node, "group", int(surgery.kept(made).sum()) // each)


def lost(place: Place, *sides: Axes | None) -> list[Axes | None]:
    """Keep everything at a node of which too little is known."""
    for axes in sides:
        place.pin_all(axes or (), f"{place.name} has an operand of unknown shape")
    return [None]


def _pool(place: Place) -> Sequence[Axes | None]:
    """Channels pass; positions in space are mixed."""
    x = place.labelled(0)
    if x is None:
        return [None]
    rest = _spatial(place, x)
    return [(*x[:2], *rest)] * len(place.node.outputs)


ROWS: dict[str, Row] = {
    "Conv": _conv,
    **dict.fromkeys(
        (
            "AveragePool",
            "GlobalAveragePool",
            "GlobalLpPool",
            "GlobalMaxPool",
            "LpPool",
            "MaxPool",
        ),
        _pool,
    ),
}
MICROSOFT: dict[str, Row] = {}
