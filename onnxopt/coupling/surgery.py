"""Removing units: tensors sliced, attributes and shapes rewritten, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.coupling.groups import Group, grouped
from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.place import State, Use
from onnxopt.coupling.walk import Walk
from onnxopt.errors import ModelError, UsageError
from onnxopt.shapes import Dim, analyse
from onnxopt.shapes.extent import Extent
from onnxopt.spec import nearest


def cut(model: ir.Model, keep: Mapping[str, np.ndarray]) -> int:
    """Remove from each named group the units that are not kept; return how many went.

    ``keep`` gives the numbers of the units to keep, by the name of a group as `couple` finds it;
    groups that are not named stay whole. What is left computes what the model did with the
    units' products taken away where they were summed; statistics of normalisations over an axis
    that shrinks are those of what is left.

    Raises UsageError for a group or unit that there is not, that may not go, or is the last of an
    axis; ModelError where the shapes of the result do not follow. The model is then as it was.
    """
    trial = model.clone()
    state = Walk(trial).state
    gone = _gone(state, grouped(state), keep)
    count = int(gone.sum())
    if not count:
        return 0
    surgery = Surgery(state, gone, graph.Names(trial))
    surgery.check()
    for axes, edit in state.edits:
        if any(surgery.shrinks(axis) for axis in axes):
            edit(surgery)
    surgery.slice()
    surgery.annotate()
    verify(trial, surgery)
    model.graph = trial.graph
    return count


def _gone(
    state: State, groups: Sequence[tuple[Group, np.ndarray]], keep: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return for each label whether it stands for units that go."""
    gone = np.zeros(len(state.labels), bool)
    known = {group.name: (group, labels) for group, labels in groups}
    for name, kept in keep.items():
        if name not in known:
            raise UsageError(f"the model has no group '{name}'{nearest(name, known)}")
        group, labels = known[name]
        if np.asarray(kept).dtype.kind == "b":
            raise UsageError(f"of group '{name}' the numbers of the units to keep are needed")
        units = np.unique(np.asarray(kept, int))
        if units.size and not 0 <= units[0] <= units[-1] < group.units:
            raise UsageError(f"group '{name}' has units 0 to {group.units - 1}, not {units[-1]}")
        if len(units) < group.units and group.blocked:
            raise UsageError(f"group '{name}' has to stay whole: {group.blocked}")
        gone[labels] = True
        gone[labels[units]] = False
    return gone


class Surgery:
    """Which positions of a graph stay, and the changes that follow."""

    def __init__(self, state: State, gone: np.ndarray, names: graph.Names) -> None:
        self.state = state
        self.names = names
        self._gone = gone
        self._kept: dict[int, np.ndarray] = {}

    def kept(self, axis: Axis) -> np.ndarray:
        """Return for each position of an axis whether it stays."""
        assert not isinstance(axis, Fixed)
        found = self._kept.get(id(axis))
        if found is None:
            found = self._kept[id(axis)] = ~self._gone[self.state.labels.roots(axis)]
        return found

    def shrinks(self, axis: Axis) -> bool:
        """Return whether positions of an axis go."""
        return not isinstance(axis, Fixed) and not bool(self.kept(axis).all())

    def check(self) -> None:
        """Raise UsageError where an axis would have no position left."""
        for value, axes in self._all():
            for axis, labels in enumerate(axes):
                if self.shrinks(labels) and not self.kept(labels).any():
                    raise UsageError(
                        f"nothing would be left of axis {axis} of '{value.name}'; keep a unit of it"
                    )

    def _all(self) -> list[tuple[ir.Value, Axes]]:
        uses = [(use.value, use.axes) for use in self.state.uses.values()]
        return uses + [(value, axes) for value, axes in self.state.axes.items() if axes]

    def sizes(self, node: ir.Node, index: int, values: Sequence[int | None]) -> None:
        """Give a node these integers as an input; None leaves an element as it is computed."""
        old = node.inputs[index] if index < len(node.inputs) else None
        known = graph.ints(old)
        if known is not None and None in values:
            values = [b if a is None else a for a, b in zip(values, known, strict=True)]
        dtype = np.int64 if old is None or old.dtype is None else old.dtype.numpy()
        given = np.array([0 if size is None else size for size in values], dtype)
        new = self.constant(node, given, f"{node.outputs[0].name}_sizes")
        if old is not None and None in values:
            new = self._mixed(node, old, new, [size is None for size in values])
        if len(node.inputs) <= index:
            node.resize_inputs(index + 1)
        node.replace_input_with(index, new)

    def _mixed(self, node: ir.Node, old: ir.Value, new: ir.Value, which: list[bool]) -> ir.Value:
        """Take some elements of a vector as they are computed, the others from a constant."""
        assert node.graph is not None
        mask = self.constant(node, np.array(which), f"{new.name}_old")
        choice = ir.node("Where", [mask, old, new], num_outputs=1)
        choice.outputs[0].name = self.names.fresh(f"{new.name}_mixed")
        choice.outputs[0].type, choice.outputs[0].shape = new.type, new.shape
        node.graph.insert_before(node, choice)
        return choice.outputs[0]

    def constant(self, node: ir.Node, contents: np.ndarray, name: str) -> ir.Value:
        """Return a new constant of the graph that a node is in."""
        assert isinstance(node.graph, ir.Graph)
        value = graph.constant(contents, self.names.fresh(name))
        node.graph.register_initializer(value)
        return value

    def name(self, base: str) -> str:
        """Return a name that no value has."""
        return self.names.fresh(base)

    def moved(self, old: ir.Value, new: ir.Value) -> None:
        """Say that another value has taken the place of one."""
        self.state.axes[new] = self.state.axes.pop(old)
        self.state.engine.facts[new] = self.state.engine.fact(old)

    def attribute(self, node: ir.Node, name: str, value: int | Sequence[int]) -> None:
        """Set an attribute of a node."""
        made = ir.AttrInt64(name, value) if isinstance(value, int) else ir.AttrInt64s(name, value)
        node.attributes[name] = made

    def slice(self) -> None:
        """Give each node its constants without what goes; nodes that need the same share it."""
        made: dict[tuple[ir.Value, bytes], ir.Value] = {}
        for use in self.state.uses.values():
            if not any(map(self.shrinks, use.axes)) or use.node.inputs[use.index] is not use.value:
                continue
            masks = {axis: self.kept(labels) for axis, labels in enumerate(use.axes)
                     if self.shrinks(labels)}  # fmt: skip
            key = (use.value, b"|".join(bytes([axis]) + m.tobytes() for axis, m in masks.items()))
            if key not in made:
                made[key] = self._sliced(use, masks)
            use.node.replace_input_with(use.index, made[key])
        for value, _ in made:
            self._drop(value)

    def _sliced(self, use: Use, masks: Mapping[int, np.ndarray]) -> ir.Value:
        held = self.state.engine.constant(use.value)
        assert held is not None
        assert isinstance(use.node.graph, ir.Graph)
        contents = held.numpy()
        for axis, mask in masks.items():
            contents = np.compress(mask, contents, axis)
        alone = all(user is use.node for user, _ in use.value.uses())
        alone = alone and not use.value.is_graph_output()
        name = use.value.name or ""
        if alone and use.value.is_initializer():
            use.node.graph.initializers.pop(name)
            use.value.name = self.names.fresh(f"{name}_whole")
        else:
            name = self.names.fresh(f"{name}_cut")
        value = graph.constant(graph.tensor_of(contents, held.dtype), name)
        use.node.graph.register_initializer(value)
        return value

    def _drop(self, value: ir.Value) -> None:
        if graph.used(value):
            return
        producer = value.producer()
        if producer is not None:
            graph.remove_dead([producer])
        elif isinstance(value.graph, ir.Graph) and value.name in value.graph.initializers:
            del value.graph.initializers[value.name or ""]

    def shrinking(self) -> set[ir.Value]:
        """Return the activations that lose positions."""
        return {
            value
            for value, axes in self.state.axes.items()
            if any(self.shrinks(axis) for axis in axes or ())
        }

    def annotate(self) -> None:
        """Write the extents that the axes of activations have now."""
        for value in self.shrinking():
            if value.shape is not None:
                value.shape = ir.Shape(
                    size if new is None else None if isinstance(new, Dim) else new
                    for size, new in zip(value.shape, self.extents(value), strict=True)
                )

    def extents(self, value: ir.Value) -> list[Extent]:
        """Return the extents that an activation has now; None for what is not foretold."""
        old = self.state.engine.fact(value).shape
        axes = self.state.axes.get(value)
        if old is None or axes is None:
            return []
        return [self._extent(axis, size) for axis, size in zip(axes, old, strict=True)]

    def _extent(self, axis: Axis, old: Extent) -> Extent:
        if not self.shrinks(axis):
            return None if isinstance(old, Dim) and old.hidden else old
        return int(self.kept(axis).sum()) if isinstance(old, int) else None


def verify(model: ir.Model, surgery: Surgery) -> None:
    """Raise ModelError unless inference finds the extents that the cut foretells."""
    shrinking = surgery.shrinking()
    written = {value: value.shape for value in shrinking}
    for value in written:
        value.shape = None
    engine = analyse(model).memo.engine
    for value, shape in written.items():
        value.shape = shape
    for node in engine.impossible - surgery.state.engine.impossible:
        raise ModelError(
            f"the cut was not made: {node.op_type} '{node.name}' could not run afterwards; "
            f"{engine.stops.get(node, '')}"
        )
    for node in model.graph:
        for value in node.outputs:
            found = engine.fact(value).shape
            for axis, size in enumerate(surgery.extents(value)):
                if size is not None and (found is None or found[axis] != size):
                    raise ModelError(
                        f"the cut was not made: axis {axis} of '{value.name}' would have extent "
                        f"{None if found is None else found[axis]} instead of {size}"
                    )
