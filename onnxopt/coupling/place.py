"""One node as its row sees it: the labels of its inputs, and what has to change when some go."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxopt.costs.count import name_of
from onnxopt.coupling.labels import Axes, Axis, Fixed, Labels, common
from onnxopt.shapes.call import Call
from onnxopt.shapes.engine import Engine
from onnxopt.shapes.extent import Dims, Extent


class Role(enum.Enum):
    """What an axis of a tensor does to the units of a group."""

    PRODUCES = "produces"
    """It makes them: axis 0 of the weight of a convolution, and its bias."""
    READS = "reads"
    """It sums over them: axis 1 of the weight of the next convolution."""
    CARRIES = "carries"
    """It has them: an activation, or a factor or a term for each."""


@dataclasses.dataclass(frozen=True)
class Use:
    """A constant at one input of one node, with the labels of its axes there."""

    node: ir.Node
    index: int
    value: ir.Value
    axes: Axes
    roles: dict[int, Role]


class Surgery(Protocol):
    """What an edit may ask for and do once it is known which positions stay."""

    def kept(self, axis: Axis) -> np.ndarray:
        """Return for each position of an axis whether it stays."""

    def sizes(self, node: ir.Node, index: int, values: Sequence[int | None]) -> None:
        """Give a node these integers as an input; None leaves an element as it is computed."""

    def constant(self, node: ir.Node, contents: np.ndarray, name: str) -> ir.Value:
        """Return a new constant of the graph that a node is in."""

    def name(self, base: str) -> str:
        """Return a name that no value has."""

    def moved(self, old: ir.Value, new: ir.Value) -> None:
        """Say that another value has taken the place of one."""

    def attribute(self, node: ir.Node, name: str, value: int | Sequence[int]) -> None:
        """Set an attribute of a node."""


Edit: TypeAlias = Callable[[Surgery], None]
ONE = Fixed("an axis of extent 1")
UNKNOWN = Fixed("an axis of unknown extent")


class State:
    """What is known so far of a graph: the labels of its values, and what rows asked for."""

    def __init__(self, engine: Engine, choices: Mapping[ir.Node, int]) -> None:
        self.engine = engine
        self.choices = choices
        self.labels = Labels()
        self.axes: dict[ir.Value, Axes | None] = {}
        self.uses: dict[tuple[ir.Node, int], Use] = {}
        self.kernels: dict[ir.Value, Axes] = {}
        self.derived: dict[ir.Value, tuple[Use, tuple[int, ...]]] = {}
        self.shuffled: dict[ir.Node, Axes] = {}
        self.edits: list[tuple[tuple[Axis, ...], Edit]] = []
        self.decided: dict[ir.Node, tuple[Axis, int]] = {}
        self.normalised: list[tuple[np.ndarray, str]] = []


class Place(Call):
    """A node with the labels of its inputs."""

    __slots__ = ("asked", "labels", "outputs", "state")

    def __init__(self, node: ir.Node, state: State) -> None:
        engine = state.engine
        facts = [None if value is None else engine.fact(value) for value in node.inputs]
        super().__init__(node, facts, engine)
        self.outputs = [engine.fact(value) for value in node.outputs]
        self.state = state
        self.labels = state.labels
        self.asked: set[int] = set()

    @property
    def name(self) -> str:
        """The node as an error names it."""
        return f"{self.node.op_type} '{self.node.name or self.node.outputs[0].name}'"

    def out(self, index: int = 0) -> Dims | None:
        """Return the shape of an output."""
        return self.outputs[index].shape if index < len(self.outputs) else None

    def extent(self, index: int, axis: int) -> Extent:
        """Return the extent of an axis of an input."""
        shape = self.shape(index)
        return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None

    def extent_out(self, axis: int) -> Extent:
        """Return the extent of an axis of the first output."""
        shape = self.out()
        return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None

    def labelled(self, index: int = 0) -> Axes | None:
        """Return the labels of an input's axes; None where its rank is not known.

        A constant has labels of its own at every node that reads it.
        """
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            return None
        self.asked.add(index)
        overridable = value.is_graph_input() and value.is_initializer()
        if self.constant(index) is None and not overridable:
            return self.state.axes.get(value)
        use = self.state.uses.get((self.node, index))
        if use is None:
            axes = tuple(self.of_extent(size) for size in self.shape(index) or ())
            use = self.state.uses[self.node, index] = Use(self.node, index, value, axes, {})
            if overridable:
                self.pin_all(axes, f"weight '{value.name}' is an input that callers may override")
        return use.axes

    def constant(self, index: int) -> ir.TensorProtocol | None:
        """Return the tensor that an input always is, where it is no part of the interface."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None or value.is_graph_input():
            return None
        return self.state.engine.constant(value)

    def kernel(self, index: int, roles: Mapping[int, Role]) -> Axes | None:
        """Return the labels of a weight that makes or reads units: the same wherever it is used."""
        axes = self.labelled(index)
        if axes is None:
            return None
        self.mark(index, roles)
        use = self.state.uses.get((self.node, index))
        if use is not None:
            first = self.state.kernels.setdefault(use.value, axes)
            for mine, old in zip(axes, first, strict=True):
                self.meet(mine, old)
        return axes

    def mark(self, index: int, roles: Mapping[int, Role]) -> None:
        """Say what the axes of a constant do, whether it is read as it is or through others."""
        found = self._behind(index)
        if found is not None:
            use, order = found
            use.roles.update({order[axis]: role for axis, role in roles.items()})

    def _behind(self, index: int) -> tuple[Use, tuple[int, ...]] | None:
        """Return the constant that an input is or stands for, and which of its axes is which."""
        use = self.state.uses.get((self.node, index))
        if use is not None:
            return use, tuple(range(len(use.axes)))
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        return None if value is None else self.state.derived.get(value)

    def stands_for_input(self, order: Sequence[int]) -> None:
        """Say that the output is the first input with its axes in this order, scaled at most."""
        found = self._behind(0)
        if found is not None:
            use, old = found
            self.state.derived[self.node.outputs[0]] = use, tuple(old[axis] for axis in order)

    def bias(self, index: int, axis: Axis, role: Role = Role.PRODUCES) -> None:
        """Let a vector of one number a position, where it is given, follow an axis."""
        if not self.has(index):
            return
        axes = self.labelled(index)
        if axes is None or len(axes) != 1:
            self.pin_all((axis, *(axes or ())), f"{self.name} has an operand of unknown shape")
            return
        self.meet(axes[0], axis)
        self.mark(index, {0: role})

    def of_extent(self, size: Extent) -> Axis:
        """Return new labels for an axis."""
        if size == 1:
            return ONE
        return self.fresh(size) if isinstance(size, int) and size > 0 else UNKNOWN

    def fresh(self, count: int) -> np.ndarray:
        """Return labels that nothing has yet."""
        return self.labels.fresh(count, self.node)

    def meet(self, one: Axis, other: Axis) -> Axis:
        """Let two axes be the same: positions leave both or none. Returns that axis."""
        if isinstance(one, Fixed):
            self.pin(other, one.reason)
            return one
        if isinstance(other, Fixed):
            self.pin(one, other.reason)
            return other
        if one is not other:
            self.labels.merge(*common(one, other))
        return one if len(one) >= len(other) else other

    def pin(self, axis: Axis, reason: str) -> Fixed:
        """Keep all positions of an axis; returns it as one that is fixed."""
        if isinstance(axis, Fixed):
            return axis
        self.labels.pin(axis, reason)
        return Fixed(reason)

    def pin_all(self, axes: Sequence[Axis], reason: str) -> list[Axis]:
        """Keep all positions of some axes."""
        return [self.pin(axis, reason) for axis in axes]

    def averages(self, axes: Sequence[Axis]) -> None:
        """Say that the node takes means over axes: once some positions go, over the others."""
        for axis in axes:
            if not isinstance(axis, Fixed):
                self.state.normalised.append((axis, name_of(self.node)))

    def later(self, edit: Edit, *axes: Axis) -> None:
        """Have something done to the node when some positions of these axes go."""
        if any(not isinstance(axis, Fixed) for axis in axes):
            self.state.edits.append((axes, edit))


Row: TypeAlias = Callable[[Place], "Sequence[Axes | None]"]
"""What labels the outputs of an operator have; merges those of its inputs that belong together."""


def live(axis: Axis) -> bool:
    """Return whether positions of an axis may go as far as is known of it."""
    return not isinstance(axis, Fixed)


def lost(place: Place, *sides: Axes | None) -> list[Axes | None]:
    """Keep everything at a node of which too little is known."""
    for axes in sides:
        place.pin_all(axes or (), f"{place.name} has an operand of unknown shape")
    return [None]
