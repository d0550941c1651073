"""Operands that moved from attributes to inputs between opsets, read from either place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.rewrite import Builder, Decline

EVERYTHING = 2**31 - 1
"""Exporters write this, or a larger number, for the end of a slice that has no end."""

_FARTHEST = 2**63 - 1
"""The largest number that a slice can be given."""


@dataclass(frozen=True)
class Cut:
    """One axis of a Slice: from ``start`` to before ``end`` by ``step``, as the node has them."""

    start: int
    end: int
    step: int = 1

    @property
    def plain(self) -> bool:
        """The slice goes forward and counts from the front."""
        return self.start >= 0 and self.end >= 0 and self.step > 0

    def then(self, outer: Cut) -> Cut:
        """Return this slice and then another of its result as one; both must be plain."""
        start = min(self.start + outer.start * self.step, _FARTHEST)
        end = self.end
        if outer.end < EVERYTHING:
            end = min(end, self.start + outer.end * self.step)
        return Cut(start, end, min(self.step * outer.step, _FARTHEST))


def operand(node: ir.Node, index: int, name: str) -> tuple[int, ...] | None:
    """Return integers from an attribute or else from a constant input; None where absent.

    Raises Decline where an input is there and not constant.
    """
    attribute = node.attributes.get(name)
    if attribute is not None:
        if attribute.is_ref():
            raise Decline(f"{name} depends on the call")
        return tuple(attribute.as_ints())
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return None
    found = graph.ints(value)
    if found is None:
        raise Decline(f"{name} is not constant")
    return found


def axes(node: ir.Node, index: int, rank: int | None) -> tuple[int, ...] | None:
    """Return the axes of a node counted from the front, None where it names none."""
    found = operand(node, index, "axes")
    return None if found is None else from_front(found, rank)


def from_front(found: tuple[int, ...], rank: int | None) -> tuple[int, ...]:
    """Return axes counted from the front; raises Decline where that takes an unknown rank."""
    if all(axis >= 0 for axis in found):
        return found
    if rank is None:
        raise Decline("the rank is not known")
    return tuple(axis % rank for axis in found)


def cuts(node: ir.Node) -> dict[int, Cut]:
    """Return what a Slice takes by axis; raises Decline where that is not constant."""
    starts, ends = operand(node, 1, "starts"), operand(node, 2, "ends")
    if starts is None or ends is None:
        raise Decline("no bounds")
    named = axes(node, 3, graph.rank(node.inputs[0]))
    along = tuple(range(len(starts))) if named is None else named
    steps = operand(node, 4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(along) == len(set(along)) == len(steps):
        raise Decline("bounds of different lengths")
    return {axis: Cut(*parts) for axis, *parts in zip(along, starts, ends, steps, strict=True)}


def pads(node: ir.Node) -> tuple[tuple[int, int], ...]:
    """Return how much a Pad adds before and after each axis; raises Decline."""
    found, rank = operand(node, 1, "pads"), graph.rank(node.inputs[0])
    if found is None or rank is None:
        raise Decline("pads or rank not known")
    named = axes(node, 3, rank) or tuple(range(rank))
    if len(found) != 2 * len(named):
        raise Decline("pads of another length")
    result = [(0, 0)] * rank
    for place, axis in enumerate(named):
        result[axis] = (found[place], found[place + len(named)])
    return tuple(result)


def squeeze(op: Builder, x: ir.Value, along: tuple[int, ...]) -> ir.Value:
    """Build ``Squeeze(x)`` in the form of the opset."""
    if op.opset < 13:
        return op.Squeeze(x, axes=along)
    return op.Squeeze(x, np.array(along, dtype=np.int64))


def unsqueeze(op: Builder, x: ir.Value, along: tuple[int, ...]) -> ir.Value:
    """Build ``Unsqueeze(x)`` in the form of the opset."""
    if op.opset < 13:
        return op.Unsqueeze(x, axes=along)
    return op.Unsqueeze(x, np.array(along, dtype=np.int64))


def slice_(op: Builder, x: ir.Value, parts: dict[int, Cut]) -> ir.Value:
    """Build ``Slice(x)`` in the form of the opset."""
    along = sorted(parts)
    columns = [
        [parts[axis].start for axis in along],
        [parts[axis].end for axis in along],
        along,
        [parts[axis].step for axis in along],
    ]
    if op.opset >= 10:
        return op.Slice(x, *(np.array(column, dtype=np.int64) for column in columns))
    return op.Slice(x, starts=columns[0], ends=columns[1], axes=columns[2])
