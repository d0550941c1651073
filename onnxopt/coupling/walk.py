"""Asks the row of each node of a graph; tries other axes where a reshape hides all units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from onnxopt.coupling.labels import Axes, Fixed
from onnxopt.coupling.place import Place, State
from onnxopt.coupling.table import TABLE
from onnxopt.ops import key, label
from onnxopt.segments import reads
from onnxopt.shapes import analyse
from onnxopt.shapes.engine import MALFORMED, Engine
from onnxopt.shapes.fact import Contradiction

_ROUNDS = 6
_SOURCES = frozenset((("", "Constant"),))


class Walk:
    """The state after all nodes, and the operators that have no row."""

    def __init__(self, model: ir.Model) -> None:
        self.engine = analyse(model).memo.engine
        self.graph = model.graph
        choices: dict[ir.Node, int] = {}
        for _ in range(_ROUNDS):
            self.without_row: dict[str, list[str]] = {}
            self.state = self._once(choices)
            later = self._other_choices(choices)
            if not later:
                return
            choices = choices | later

    def _once(self, choices: Mapping[ir.Node, int]) -> State:
        state = State(self.engine, choices)
        for value in self.graph.inputs:
            fixed = Fixed(f"input '{value.name}' of the model")
            state.axes[value] = _fixed(self.engine, value, fixed)
        for node in self.graph:
            if key(node) not in _SOURCES:
                self._visit(node, state)
        for value in self.graph.outputs:
            _pin(state, value, f"output '{value.name}' of the model")
        return state

    def _visit(self, node: ir.Node, state: State) -> None:
        place = Place(node, state)
        row = TABLE.get(key(node))
        if row is None:
            reason = f"operator {label(node)} has no row"
            self.without_row.setdefault(label(node), []).append(place.name)
        else:
            reason = f"{place.name} cannot be followed"
            try:
                found = row(place)
            except (Contradiction, *MALFORMED) as error:
                reason = f"{reason}: {error}"
            else:
                self._store(place, found, reason)
                return
        for value in reads(node):
            _pin(state, value, reason)
        for index in place.asked:
            use = state.uses.get((node, index))
            place.pin_all(use.axes if use is not None else (), reason)
        for value in node.outputs:
            state.axes[value] = _fixed(state.engine, value, Fixed(reason))

    def _store(self, place: Place, found: Iterable[Axes | None], reason: str) -> None:
        state, node = place.state, place.node
        results = list(found)
        for index, value in enumerate(node.outputs):
            axes = results[index] if index < len(results) else None
            state.axes[value] = _fitting(state, value, axes, reason)
        followed = {node.inputs[index] for index in place.asked}
        for value in reads(node):
            if value not in followed:
                _pin(state, value, f"{place.name} takes its size from elsewhere")

    def _other_choices(self, choices: Mapping[ir.Node, int]) -> dict[ir.Node, int]:
        """Move on where every unit of the axis that a reshape kept turned out to have to stay."""
        state = self.state
        pinned = np.zeros(len(state.labels), bool)
        pinned[list(state.labels.pinned())] = True
        later = {}
        for node, (axis, count) in state.decided.items():
            at = choices.get(node, 0)
            if isinstance(axis, Fixed) or at + 1 >= count:
                continue
            if pinned[state.labels.roots(axis)].all():
                later[node] = at + 1
        return later


def _fitting(state: State, value: ir.Value, axes: Axes | None, reason: str) -> Axes | None:
    """Return axes that have the rank and the extents of a value; others have to stay."""
    shape = state.engine.fact(value).shape
    if axes is None or shape is None or len(axes) != len(shape):
        for axis in axes or ():
            if not isinstance(axis, Fixed):
                state.labels.pin(axis, reason)
        return None if shape is None else (Fixed(reason),) * len(shape)
    found = list(axes)
    for index, (axis, size) in enumerate(zip(axes, shape, strict=True)):
        if isinstance(axis, Fixed) or not isinstance(size, int) or len(axis) == size:
            continue
        if len(axis) and size % len(axis) == 0:
            found[index] = np.resize(axis, size)
        else:
            state.labels.pin(axis, reason)
            found[index] = Fixed(reason)
    return tuple(found)


def _fixed(engine: Engine, value: ir.Value, axis: Fixed) -> Axes | None:
    shape = engine.fact(value).shape
    return None if shape is None else (axis,) * len(shape)


def _pin(state: State, value: ir.Value, reason: str) -> None:
    for axis in state.axes.get(value) or ():
        if not isinstance(axis, Fixed):
            state.labels.pin(axis, reason)
