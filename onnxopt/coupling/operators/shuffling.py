"""Reshape, Transpose and Reshape that together only put the positions of one axis in an order."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.coupling.digits import Digit, refine
from onnxopt.coupling.labels import Axes, Fixed
from onnxopt.coupling.place import Place, Surgery
from onnxopt.ops import key


class Shuffle(NamedTuple):
    """An axis whose position ``i`` afterwards is position ``order[i]`` before."""

    last: ir.Node
    axis: int
    order: np.ndarray


def shuffled(place: Place, axes: Axes) -> Shuffle | None:
    """Return the order in which three nodes, of which this is the first, leave one axis."""
    chain = _chain(place.node)
    before, between = place.shape(0), place.out()
    if chain is None or before is None or between is None:
        return None
    transpose, last = chain
    if place.state.engine.fact(last.outputs[0]).shape != before:
        return None
    digits = refine(before, between)
    if any(None in digit for digit in digits):
        return None
    perm = graph.attr_ints(transpose, "perm") or tuple(reversed(range(len(between))))
    moved = sorted(digits, key=lambda digit: perm.index(digit.after or 0))
    return _order(last, axes, digits, moved)


def _chain(node: ir.Node) -> tuple[ir.Node, ir.Node] | None:
    found: list[ir.Node] = []
    for wanted in ("Transpose", "Reshape"):
        (value,) = node.outputs
        if not graph.sole_use(value):
            return None
        ((node, index),) = value.uses()
        if key(node) != ("", wanted) or index != 0:
            return None
        found.append(node)
    return found[0], found[1]


def _order(last: ir.Node, axes: Axes, digits: list[Digit], moved: list[Digit]) -> Shuffle | None:
    """Compare the digits of each axis with those that stand in their place afterwards."""
    found = None
    for axis, labels in enumerate(axes):
        places = [index for index, digit in enumerate(digits) if digit.before == axis]
        old, new = [digits[index] for index in places], [moved[index] for index in places]
        if old == new:
            continue
        sizes = [digit.extent for digit in old if isinstance(digit.extent, int)]
        inside = set(old) == set(new) and len(sizes) == len(old) and not isinstance(labels, Fixed)
        if found is not None or not inside:
            return None
        grid = np.arange(math.prod(sizes)).reshape(sizes)
        order = grid.transpose([old.index(digit) for digit in new]).ravel()
        found = Shuffle(last, axis, order)
    return found


def follow(place: Place, axes: Axes, found: Shuffle) -> Axes:
    """Keep the result for the last node; what is between is removed once positions go."""
    labels = axes[found.axis]
    assert not isinstance(labels, Fixed)
    result = (*axes[: found.axis], labels[found.order], *axes[found.axis + 1 :])
    place.state.shuffled[found.last] = result
    place.later(partial(_pick, place, labels, found), labels)
    between = place.out() or ()
    return (Fixed(f"the middle of a shuffle that {place.name} begins"),) * len(between)


def _pick(place: Place, labels: np.ndarray, found: Shuffle, surgery: Surgery) -> None:
    """Take what is left of the positions in their order by Gather, in place of the three nodes."""
    kept = surgery.kept(labels)
    new = np.cumsum(kept) - 1
    indices = np.array([new[index] for index in found.order if kept[index]], np.int64)
    old = found.last.outputs[0]
    picked = surgery.constant(found.last, indices, f"{old.name}_order")
    source = place.node.inputs[0]
    gather = ir.node("Gather", [source, picked], {"axis": found.axis}, num_outputs=1)
    assert found.last.graph is not None
    found.last.graph.insert_before(found.last, gather)
    graph.replace(old, gather.outputs[0], fresh=True)
    graph.remove_dead([found.last])
    surgery.moved(old, gather.outputs[0])
