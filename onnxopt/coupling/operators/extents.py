"""Shape: whatever is calculated from an extent is so with the one that it had."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.place import Place, Row, Surgery, live
from onnxopt.shapes.extent import Extent


def _shape(place: Place) -> Sequence[Axes | None]:
    """A number of positions is the one before the cut; where sizes shrink, those who ask say so."""
    axes, extents = place.labelled(0), place.shape(0)
    if axes is None or extents is None:
        return [(Fixed("a shape"),)]
    chosen = slice(place.integer("start", 0), place.integer("end", len(axes)))
    read = list(zip(axes, extents, strict=True))[chosen]
    for axis, size in read:
        if place.node.outputs[0].is_graph_output() or not isinstance(size, int):
            place.pin(axis, f"{place.name} reads its extent")
    place.later(partial(_as_before, place, read), *(axis for axis, _ in read))
    return [(Fixed("a shape"),)]


def _as_before(place: Place, read: Sequence[tuple[Axis, Extent]], surgery: Surgery) -> None:
    """Put the old numbers in place of those that have changed."""
    node, shape = place.node, place.node.outputs[0]
    old = [size if isinstance(size, int) and live(axis) else 0 for axis, size in read]
    contents = np.array(old, np.int64)
    numbers = surgery.constant(node, contents, f"{shape.name}_before")
    which = surgery.constant(node, contents > 0, f"{shape.name}_which")
    users = list(shape.uses())
    choice = ir.node("Where", [which, numbers, shape], num_outputs=1)
    choice.outputs[0].name = surgery.name(f"{shape.name}_kept")
    choice.outputs[0].type, choice.outputs[0].shape = numbers.type, numbers.shape
    assert node.graph is not None
    node.graph.insert_after(node, choice)
    for user, index in users:
        user.replace_input_with(index, choice.outputs[0])


ROWS: dict[str, Row] = {"Shape": _shape}
