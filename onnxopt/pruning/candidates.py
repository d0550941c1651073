"""Groups of channels that may shrink: who makes them, who reads them, how far they may go."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.coupling import Group, Member, Role
from onnxopt.errors import UsageError
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.ops import SCALES
from onnxopt.pruning.branches import Branch, branch
from onnxopt.spec import nearest

LARGEST = 6144
"""Columns of a layer whose second moments are still taken."""

Scales = Mapping[str, np.ndarray]
"""What each channel was scaled by, by the name of a value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Read:
    """A layer that sums over the units; ``columns`` [units, k] are theirs in its matrix."""

    layer: Layer
    member: Member
    columns: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be pruned, and how far."""

    only: tuple[str, ...] = ()
    """Patterns of names: nothing else is pruned."""
    skip: tuple[str, ...] = ()
    """Patterns of what stays."""
    multiple: int = 1
    """Channels that are left of a group that shrinks are a multiple of this."""
    least: float = 0.1
    """The share of a group's units that stays."""
    branches: bool = False
    """A residual branch may go as a whole."""
    steps: int = 32
    """Widths that a group may have, evenly apart."""

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.steps < 1 or not 0 <= self.least <= 1:
            raise UsageError(
                f"multiple={self.multiple}, least={self.least:g}: a multiple is 1 or more, and a "
                "share lies between 0 and 1"
            )

    def allows(self, group: Group) -> bool:
        """Return whether the patterns let a group shrink.

        ``only`` has to name it or what makes its units, ``skip`` nothing that has them.
        """
        makers = [member for member in group.members if member.role is Role.PRODUCES]
        if self.only and not _any({group.name, *_names(makers)}, self.only):
            return False
        return not _any({group.name, *_names(group.members)}, self.skip)

    def widths(self, units: int, each: int = 1) -> tuple[int, ...]:
        """Return the numbers of units, of so many channels each, that may be left; widest first."""
        step = self.multiple // math.gcd(self.multiple, each)
        floor = max(math.ceil(self.least * units), 1)
        apart = max(math.ceil(units / self.steps / step), 1) * step
        found = {units}
        width = units - (units % apart or apart)
        while width >= floor:
            found.add(width)
            width -= apart
        return tuple(sorted(found, reverse=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A group that may shrink."""

    group: Group
    reads: tuple[Read, ...]
    """The layers that can be refitted."""
    others: tuple[Member, ...]
    """Weights that sum over the units and cannot."""
    widths: tuple[int, ...]
    """The numbers of units that may be left, the widest first."""
    branches: tuple[Branch, ...] = ()
    """What goes as a whole when no unit is left."""

    @property
    def name(self) -> str:
        """Return the name of the group."""
        return self.group.name

    @property
    def ends(self) -> tuple[Read, ...]:
        """The layers that end the branches."""
        last = [one.sum for one in self.branches]
        return tuple(r for r in self.reads if any(u.node in last for u in r.layer.output.uses()))

    @property
    def exact(self) -> bool:
        """Whether the rest computes the same when all that reads a unit is zero as without it."""
        alone = all(m.value.is_initializer() and graph.sole_use(m.value) for m in self.others)
        return not self.group.normalised and alone and bool(self.reads or self.others)


def check_names(model: ir.Model, groups: Iterable[Group], limits: Limits) -> None:
    """Raise UsageError for a pattern that names nothing, which would protect or choose nothing."""
    names = {group.name for group in groups} | set(model.graph.initializers)
    for node in model.graph:
        names |= {node.name or "", *(value.name or "" for value in node.outputs)}
    for pattern in (*limits.only, *limits.skip):
        if not _any(names, (pattern,)):
            near = nearest(pattern, sorted(names))
            raise UsageError(f"nothing in the optimized model is called '{pattern}'{near}")


def candidates(groups: Iterable[Group], limits: Limits) -> list[Candidate]:
    """Return the groups that may shrink under the limits."""
    allowed = (each for each in groups if each.blocked is None and limits.allows(each))
    found = (_candidate(group, limits) for group in allowed)
    return [one for one in found if len(one.widths) > 1]


def _candidate(group: Group, limits: Limits) -> Candidate:
    reads: list[Read] = []
    others: list[Member] = []
    for member in group.members:
        if member.role is Role.READS:
            found = _read(member)
            if found is None:
                others.append(member)
            else:
                reads.append(found)
    made = [m.positions.shape[1] for m in group.members if m.role is Role.PRODUCES]
    one = Candidate(
        group=group,
        reads=tuple(reads),
        others=tuple(others),
        widths=limits.widths(group.units, min(made, default=1)),
    )
    ends = _branches(one) if limits.branches else ()
    return dataclasses.replace(one, widths=(*one.widths, 0), branches=ends) if ends else one


def _branches(one: Candidate) -> tuple[Branch, ...]:
    """Return the branches that end in the layers that read a group; none if others read it too."""
    whole = (r for r in one.reads if r.columns.size == matrices.matrix(r.layer).shape[-1])
    found = [each for read in whole if (each := branch(read.layer)) is not None]
    inside = frozenset().union(*(each.nodes for each in found))
    members = [*(read.member for read in one.reads), *one.others]
    return tuple(found) if one.exact and all(m.node in inside for m in members) else ()


def _read(member: Member) -> Read | None:
    """Return the layer that a weight belongs to, unless others share it or it has groups."""
    layer = None if member.node is None else readers.read(member.node)
    if layer is None or layer.weight is not member.value or not graph.sole_use(layer.weight):
        return None
    if not layer.weight.is_initializer() or matrices.matrix(layer).shape[-1] > LARGEST:
        return None
    if layer.node.op_type == "Conv":
        shape = readers.contents(layer.weight).shape
        if graph.attr_int(layer.node, "group", 1) != 1 or member.axis != 1:
            return None
        taps = math.prod(shape[2:])
        columns = member.positions[:, :, None] * taps + np.arange(taps)
        return Read(layer=layer, member=member, columns=columns.reshape(len(columns), -1))
    if member.axis == layer.axis:
        return None
    return Read(layer=layer, member=member, columns=member.positions)


def made_rows(group: Group) -> np.ndarray:
    """Return the weights that make each unit, side by side: [units, weights].

    The weights of each layer are scaled to a mean square of 1, so that none drowns the others.
    """
    parts = []
    for member in group.members:
        held = graph.array(member.value) if member.role is Role.PRODUCES else None
        if held is not None and held.ndim > 1 and held.dtype.kind == "f":
            parts.append(_rows(held.astype(np.float64), member))
    return np.concatenate(parts, axis=1) if parts else np.ones((group.units, 1))


def folded_scales(model: ir.Model) -> dict[str, np.ndarray]:
    """Return what normalisations scale each channel by, by the name of the value that they make.

    A layer that a normalisation is folded into makes the value of that name afterwards.
    """
    found: dict[str, np.ndarray] = {}
    for node in model.graph:
        index = SCALES.get((node.domain, node.op_type))
        value = None if index is None or index >= len(node.inputs) else node.inputs[index]
        held = None if value is None else graph.array(value)
        if held is not None and held.ndim == 1:
            found[node.outputs[0].name or ""] = np.abs(held)
    return found


def scales(group: Group, given: Scales) -> np.ndarray | None:
    """Return the product of what normalisations scale each unit by; None where none do.

    ``given`` says it of those that were folded into the layers that make the units.
    """
    found = None
    for member in group.members:
        folded = _folded(member, given)
        if folded is not None:
            factors = folded[member.positions].mean(axis=1)
            found = factors if found is None else found * factors
            continue
        node, held = member.node, graph.array(member.value)
        index = None if node is None else SCALES.get((node.domain, node.op_type))
        if node is None or index is None or held is None or held.ndim != 1:
            continue
        if node.inputs[index] is member.value:
            factors = np.abs(held[member.positions]).mean(axis=1)
            found = factors if found is None else found * factors
    return found


def _folded(member: Member, given: Scales) -> np.ndarray | None:
    """Return what was folded into a weight that makes units, its bias aside."""
    if member.node is None or member.role is not Role.PRODUCES:
        return None
    matrix = len(graph.dims(member.value) or ()) > 1
    return given.get(member.node.outputs[0].name or "") if matrix else None


def _rows(held: np.ndarray, member: Member) -> np.ndarray:
    moved = np.moveaxis(held, member.axis, 0)[member.positions]
    rows = moved.reshape(len(member.positions), -1)
    level = math.sqrt(float(np.square(rows).mean()))
    return np.asarray(rows / level if level > 0 else rows)


def _names(members: Iterable[Member]) -> Iterator[str]:
    for member in members:
        yield member.value.name or ""
        yield "" if member.node is None else member.node.name or ""


def _any(names: Iterable[str], patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def masked(values: Iterable[Member], gone: np.ndarray) -> dict[ir.Value, np.ndarray]:
    """Return weights with the positions of some units set to zero."""
    found: dict[ir.Value, np.ndarray] = {}
    for member in values:
        held = found.get(member.value)
        held = graph.array(member.value) if held is None else held
        if held is not None:
            held = held.copy()
            held[(slice(None),) * member.axis + (member.positions[gone].reshape(-1),)] = 0
            found[member.value] = held
    return found
