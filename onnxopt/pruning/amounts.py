"""How multiply-adds, parameters and bytes fall when groups shrink, before anything is cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import onnx_ir as ir

from onnxopt import graph
from onnxopt.costs import Costs
from onnxopt.coupling import Group
from onnxopt.pruning.candidates import Candidate
from onnxopt.pruning.options import Measure
from onnxopt.report import Size

Widths = Mapping[str, int]
"""How many units are left of each group; of those that are not named, all."""


class Estimate(Protocol):
    """Foretells an amount of a model from the widths of its groups."""

    def total(self, widths: Widths) -> float:
        """Return the amount."""


@dataclasses.dataclass(frozen=True)
class _Item:
    """An amount in proportion to the product of what is left of some axes.

    Each axis is a list of groups with the share of the axis that one of their units has.
    """

    amount: float
    axes: tuple[tuple[tuple[str, float], ...], ...]
    inside: tuple[str, ...] = ()
    """The groups without which it is not there at all."""

    def left(self, gone: Mapping[str, int], ended: Collection[str]) -> float:
        if any(name in ended for name in self.inside):
            return 0.0
        found = self.amount
        for axis in self.axes:
            found *= 1.0 - sum(gone.get(name, 0) * share for name, share in axis)
        return found


class Proportional:
    """An amount that is a sum over nodes or weights, each in proportion to its axes."""

    def __init__(self, items: Iterable[_Item], groups: Sequence[Group]) -> None:
        self._units = {group.name: group.units for group in groups}
        self._items = [item for item in items if item.axes or item.inside]

    def total(self, widths: Widths) -> float:
        """Return the part of the amount that groups have at some widths."""
        gone = {name: self._units[name] - width for name, width in widths.items()}
        ended = {name for name, width in widths.items() if not width}
        return sum(item.left(gone, ended) for item in self._items)


class Gauge(Protocol):
    """Tells an amount of models, and foretells what is left of it at other widths."""

    def measured(self, model: ir.Model) -> float:
        """Return the amount of a model as it is."""

    def estimate(self, model: ir.Model, found: Sequence[Candidate]) -> Estimate:
        """Return what foretells the part that candidates have, at widths that each may take."""


@dataclasses.dataclass(frozen=True)
class Counted:
    """Multiply-adds, parameters or bytes; the sizes are those of the extents left open."""

    measure: Measure
    sizes: Mapping[str, int]

    def measured(self, model: ir.Model) -> float:
        """Count; multiply-adds that nobody knows count as none."""
        match self.measure:
            case "params":
                return float(sum(weight.size for _, weight in graph.weights(model)))
            case "bytes":
                return float(Size.of(model).weight_bytes)
            case "macs":
                known = (row.macs for row in Costs.of(model, self.sizes).rows)
                return float(sum(macs for macs in known if isinstance(macs, int)))

    def estimate(self, model: ir.Model, found: Sequence[Candidate]) -> Estimate:
        """Take the amount of each node or weight in proportion to each of its axes."""
        groups = [one.group for one in found]
        axes, inside = _shares(groups), _inside(found)
        if self.measure == "macs":
            items = _work(model, axes, inside, self.sizes)
        else:
            items = _storage(model, axes, inside, self.measure)
        return Proportional(items, groups)


def _shares(groups: Sequence[Group]) -> dict[tuple[int, int], tuple[tuple[str, float], ...]]:
    """Return for each axis of a value the groups on it, and the share of it of one unit."""
    found: dict[tuple[int, int], dict[str, float]] = {}
    for group in groups:
        for member in group.members:
            extent = (graph.dims(member.value) or ())[member.axis : member.axis + 1]
            if extent and isinstance(extent[0], int) and extent[0]:
                share = member.positions.shape[1] / extent[0]
                found.setdefault((id(member.value), member.axis), {})[group.name] = share
    return {key: tuple(names.items()) for key, names in found.items()}


def _inside(found: Sequence[Candidate]) -> dict[ir.Node, tuple[str, ...]]:
    """Return for each node in a branch the groups without which it goes."""
    inside: dict[ir.Node, tuple[str, ...]] = {}
    for one in found:
        for node in {node for each in one.branches for node in each.nodes}:
            inside[node] = (*inside.get(node, ()), one.name)
    return inside


Shares = Mapping[tuple[int, int], tuple[tuple[str, float], ...]]
Inside = Mapping[ir.Node, tuple[str, ...]]


def _work(
    model: ir.Model, axes: Shares, inside: Inside, sizes: Mapping[str, int]
) -> Iterator[_Item]:
    for row in Costs.of(model, sizes).rows:
        if isinstance(row.macs, int) and row.macs and not row.within:
            found = tuple(axes[k] for k in _extents(row.node) if k in axes)
            yield _Item(float(row.macs), found, inside.get(row.node, ()))


def _extents(node: ir.Node) -> Iterator[tuple[int, int]]:
    """Yield the axes whose extents multiply up to a product's multiply-adds."""
    weights = [v for v in node.inputs if v is not None and graph.tensor(v) is not None]
    wide = [value for value in weights if (graph.rank(value) or 0) > 1]
    if wide:
        for axis in range(graph.rank(wide[0]) or 0):
            yield id(wide[0]), axis
        return
    output, first = node.outputs[0], node.inputs[0]
    for axis in range(graph.rank(output) or 0):
        yield id(output), axis
    if first is not None and graph.rank(first):
        yield id(first), (graph.rank(first) or 1) - 1


def _storage(model: ir.Model, axes: Shares, inside: Inside, measure: Measure) -> Iterator[_Item]:
    for value, weight in graph.weights(model):
        amount = weight.nbytes if measure == "bytes" else weight.size
        keys = [(id(value), axis) for axis in range(len(weight.shape))]
        users = [use.node for use in value.uses()]
        ended = inside.get(users[0], ()) if len(users) == 1 else ()
        yield _Item(float(amount), tuple(axes[key] for key in keys if key in axes), ended)
