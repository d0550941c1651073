"""Convolutions, pools and what else moves over space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxopt import graph
from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.place import Place, Role, Row, Surgery, lost


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
    depthwise = group > 1 and group == place.extent(0, 1) == place.extent(1, 0)
    place.bias(2, w[0], Role.CARRIES if depthwise else Role.PRODUCES)
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
        if each_out == each_in == 1:  # one factor for each channel, as a normalisation has
            place.mark(1, {0: Role.CARRIES})
        place.later(partial(_fewer_groups, place, made, each_out), made)
    else:
        place.meet(made, np.tile(place.fresh(each_out), group))
        place.meet(x, np.tile(read, group) if not isinstance(read, Fixed) else read)
        place.mark(1, {1: Role.READS})


def _fewer_groups(place: Place, made: Axis, each: int, surgery: Surgery) -> None:
    surgery.attribute(place.node, "group", int(surgery.kept(made).sum()) // each)


def _conv_transpose(place: Place) -> Sequence[Axes | None]:
    """``w [c, m / group, ..]``: group after group of inputs makes its part of the outputs."""
    group = place.integer("group", 1)
    x = place.labelled(0)
    roles = {0: Role.READS, 1: Role.PRODUCES}
    w = place.kernel(1, roles if group == 1 else {0: Role.PRODUCES})
    inputs, each_out = place.extent(1, 0), place.extent(1, 1)
    if x is None or w is None or not isinstance(inputs, int) or not isinstance(each_out, int):
        return lost(place, x, w)
    rest = [*x[:1], *_spatial(place, x)]
    place.pin_all(w[2:], "a window")
    place.meet(x[1], w[0])
    made = w[1]
    if group > 1:
        place.pin(w[1], f"{place.name} keeps its groups whole")
        units = place.fresh(group)
        place.meet(x[1], np.repeat(units, inputs // group))
        made = np.repeat(units, each_out)
        place.later(partial(_fewer_groups, place, made, each_out), made)
    place.bias(2, made)
    return [(rest[0], made, *rest[1:])]


def _pool(place: Place) -> Sequence[Axes | None]:
    """Channels pass; positions in space are mixed. Where the largest are counts through all."""
    x = place.labelled(0)
    if x is None:
        return [None]
    if any(graph.used(value) for value in place.node.outputs[1:]):
        return lost(place, x)
    rest = _spatial(place, x)
    return [(*x[:2], *rest)] * len(place.node.outputs)


def _grid_sample(place: Place) -> Sequence[Axes | None]:
    """Channels pass; the grid says where to look in space."""
    x, grid = place.labelled(0), place.labelled(1)
    if x is None or grid is None:
        return lost(place, x, grid)
    place.pin_all(grid, f"{place.name} looks where it says")
    rest = _spatial(place, x)
    return [(*x[:2], *rest)]


def _resize(place: Place) -> Sequence[Axes | None]:
    """Axes that keep their extents pass; sizes that are given follow them."""
    x, before, after = place.labelled(0), place.shape(0), place.out()
    if x is None or before is None or after is None:
        return lost(place, x)
    cropped = place.string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    found = tuple(
        labels
        if before[axis] == after[axis] and not cropped
        else place.pin(labels, f"{place.name} resizes it")
        for axis, labels in enumerate(x)
    )
    if place.has(3):
        place.later(partial(_new_size, place, found), *found)
    return [found]


def _new_size(place: Place, axes: Axes, surgery: Surgery) -> None:
    named = place.axes(len(axes), len(place.inputs)) or tuple(range(len(axes)))
    sizes = [
        None if isinstance(axes[axis], Fixed) else int(surgery.kept(axes[axis]).sum())
        for axis in named
    ]
    surgery.sizes(place.node, 3, sizes)


def _depth_to_space(place: Place) -> Sequence[Axes | None]:
    """The channels of a block become places: a channel of the output has one at each."""
    x, out, block = place.labelled(0), place.extent_out(1), place.integer("blocksize", 1) ** 2
    if x is None or not isinstance(out, int):
        return lost(place, x)
    rest = [*x[:1], *_spatial(place, x)]
    made = place.fresh(out)
    rows_first = place.string("mode", "DCR") == "DCR"
    place.meet(x[1], np.tile(made, block) if rows_first else np.repeat(made, block))
    return [(rest[0], made, *rest[1:])]


def _space_to_depth(place: Place) -> Sequence[Axes | None]:
    """Every place of a block has all the channels."""
    x = place.labelled(0)
    if x is None:
        return [None]
    rest = [*x[:1], *_spatial(place, x)]
    block = place.integer("blocksize", 1) ** 2
    made = x[1] if isinstance(x[1], Fixed) else np.tile(x[1], block)
    return [(rest[0], made, *rest[1:])]


ROWS: dict[str, Row] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "GridSample": _grid_sample,
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
    "Upsample": _resize,
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
