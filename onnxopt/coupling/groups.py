"""Groups of units that can be removed one by one, each from every tensor that has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import onnx_ir as ir

from onnxopt.costs.count import name_of
from onnxopt.coupling.labels import Axis, Fixed
from onnxopt.coupling.place import Role, State
from onnxopt.coupling.walk import Walk
from onnxopt.errors import UsageError
from onnxopt.spec import nearest


@dataclasses.dataclass(frozen=True)
class Member:
    """One axis of one tensor that shrinks with a group."""

    value: ir.Value
    """A constant, or an activation."""
    axis: int
    positions: np.ndarray
    """``[units, k]``: which positions of the axis each unit has.

    Along an axis of unknown extent they repeat."""
    role: Role
    node: ir.Node | None = None
    """The node that reads the constant here; None for an activation."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Units of which each can go alone, with all its positions in all members."""

    name: str
    """That of the node that makes the units."""
    units: int
    members: tuple[Member, ...]
    blocked: str | None = None
    """Why no unit may go."""
    normalised: tuple[str, ...] = ()
    """The nodes, normalisations for the most part, that take means or sums over the units: when
    some go, over those that are left. To cut is then not the same as to set what reads them to
    zero."""


@dataclasses.dataclass(frozen=True)
class Coupling:
    """All groups of a model, in the order of the nodes that make their units."""

    groups: tuple[Group, ...]
    without_row: dict[str, list[str]]
    """The nodes of operators that the analysis does not know, by operator."""

    def of(self, value: ir.Value, axis: int) -> tuple[Group, ...]:
        """Return the groups that have positions on an axis of a value."""
        return tuple(
            group
            for group in self.groups
            if any(member.value is value and member.axis == axis for member in group.members)
        )

    def __getitem__(self, name: str) -> Group:
        """Return a group by its name; UsageError where there is none."""
        for group in self.groups:
            if group.name == name:
                return group
        near = nearest(name, [group.name for group in self.groups])
        raise UsageError(f"the model has no group '{name}'{near}")


@dataclasses.dataclass(frozen=True)
class Carrier:
    """An axis with labels, of a constant at a node or of an activation."""

    value: ir.Value
    axis: int
    labels: np.ndarray
    role: Role
    node: ir.Node | None


def couple(model: ir.Model) -> Coupling:
    """Find which positions of which tensors of a model can only leave together.

    The model stays as it is. Control flow, functions and operators without a row keep what they
    touch. Optimize a model first: what is a constant then need not be followed.
    """
    walk = Walk(model)
    return Coupling(tuple(group for group, _ in grouped(walk.state)), walk.without_row)


def grouped(state: State) -> list[tuple[Group, np.ndarray]]:
    """Return the groups, with the labels that stand for their units."""
    carriers = list(_carriers(state))
    roots = {id(one.labels): state.labels.roots(one.labels) for one in carriers}
    classes = _classes(state, carriers, roots)
    home = np.full(len(state.labels), -1)
    unit = np.zeros(len(state.labels), int)
    for index, labels in enumerate(classes):
        home[labels] = index
        unit[labels] = np.arange(len(labels))
    members: list[list[Member]] = [[] for _ in classes]
    where = {key: _positions(found, home, unit, classes) for key, found in roots.items()}
    for one in carriers:
        for index, positions in where[id(one.labels)].items():
            members[index].append(Member(one.value, one.axis, positions, one.role, one.node))
    return list(_named(state, classes, members))


def _carriers(state: State) -> Iterator[Carrier]:
    for use in state.uses.values():
        for axis, labels in _live(use.axes):
            role = use.roles.get(axis, Role.CARRIES)
            yield Carrier(use.value, axis, labels, role, use.node)
    for value, axes in state.axes.items():
        for axis, labels in _live(axes or ()):
            yield Carrier(value, axis, labels, Role.CARRIES, None)


def _live(axes: Iterable[Axis]) -> Iterator[tuple[int, np.ndarray]]:
    for axis, labels in enumerate(axes):
        if not isinstance(labels, Fixed):
            yield axis, labels


def _classes(
    state: State, carriers: list[Carrier], roots: dict[int, np.ndarray]
) -> list[np.ndarray]:
    """Sort units by where they are: a random sum over the axes that have one, as a signature."""
    made = np.zeros(len(state.labels), bool)
    for one in carriers:
        if one.role is Role.PRODUCES:
            made[roots[id(one.labels)]] = True
    signature = np.zeros(len(state.labels), np.uint64)
    random = np.random.default_rng(0)
    for found in roots.values():
        number = random.integers(1 << 63, dtype=np.uint64)
        np.add.at(signature, found, number)
    pinned = np.array(sorted(state.labels.pinned()), int)
    signature[pinned] ^= np.uint64(1)
    labels = np.flatnonzero(made)
    if not len(labels):
        return []
    _, inverse = np.unique(signature[labels], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    cuts = np.flatnonzero(np.diff(inverse[order])) + 1
    return sorted(np.split(labels[order], cuts), key=lambda found: int(found[0]))


def _positions(
    found: np.ndarray, home: np.ndarray, unit: np.ndarray, classes: list[np.ndarray]
) -> dict[int, np.ndarray]:
    homes = home[found]
    result = {}
    for index in np.unique(homes[homes >= 0]).tolist():
        at = np.flatnonzero(homes == index)
        at = at[np.argsort(unit[found[at]], kind="stable")]
        result[index] = at.reshape(len(classes[index]), -1)
    return result


def _named(
    state: State, classes: list[np.ndarray], members: list[list[Member]]
) -> Iterator[tuple[Group, np.ndarray]]:
    pinned = state.labels.pinned()
    taken: dict[str, int] = {}
    over = [(state.labels.roots(labels), name) for labels, name in state.normalised]
    for labels, found in zip(classes, members, strict=True):
        base = _maker(found)
        taken[base] = taken.get(base, 0) + 1
        name = base if taken[base] == 1 else f"{base}/{taken[base]}"
        reason = pinned.get(int(labels[0]))
        norms = tuple(norm for roots, norm in over if np.isin(labels[0], roots))
        yield Group(name, len(labels), tuple(found), reason, norms), labels


def _maker(members: list[Member]) -> str:
    first = next(one for one in members if one.role is Role.PRODUCES)
    return "" if first.node is None else name_of(first.node)
