"""Compute in half precision, where nothing overflows."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.passes.quantize._halves import Sides, ends_the_runtime, sides
from onnxopt.passes.quantize._plan import Choice
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.stream import stream_extremes

_LARGEST = {
    ir.DataType.FLOAT16: 65504.0,
    ir.DataType.BFLOAT16: float(np.finfo(np.float32).max),
}


class Half(Pass):
    """``y = f(x)`` in float32 becomes ``Cast(f16(Cast(x)))``; casts between two such fall away.

    An operator stays in float32 where its schema does not take the type, where it adds up beyond
    what half precision holds, and where a value that it reads or makes on the samples, or a
    constant, is larger than the largest number of the type over the ``margin``; and where a lone
    constant, such as what keeps a division from zero, would become zero. Inputs and outputs of the
    model keep their types, and so do the bodies of If, Loop and Scan.
    """

    lossless: ClassVar[bool] = False
    quantizes: ClassVar[bool] = True
    changes_signature: ClassVar[bool] = True
    needs_samples: ClassVar[bool] = True

    type: Literal["float16", "bfloat16"] = "float16"
    margin: float = 4.0
    """How many times as large as on the samples a value may become."""
    interface: bool = False
    """Inputs and outputs of the model change their types too."""
    only: tuple[str, ...] = ()
    """Patterns of node, output and operator names: nothing else changes."""
    skip: tuple[str, ...] = ()
    """Patterns of what stays in float32."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of operators that compute in half precision."""
        to = ir.DataType[self.type.upper()]
        choice = Choice(only=self.only, skip=self.skip)
        version, casts = graph.opset(model), self.type not in context.target.half
        found: dict[ir.Node, Sides] = {}
        for node in model.graph:
            changing = sides(node, version, to) if choice.allows(node) else None
            if changing is not None and not (casts and ends_the_runtime(node)):
                found[node] = changing
        found = _within(model, context, found, to, _LARGEST[to] / self.margin)
        found = {
            node: changing
            for node, changing in found.items()
            if context.gate.permit(self.name, node.outputs[0].name or "")
        }
        if found:
            _Writing(model, found, to, interface=self.interface).run()
        return len(found)


def _within(
    model: ir.Model, context: Context, found: dict[ir.Node, Sides], to: ir.DataType, most: float
) -> dict[ir.Node, Sides]:
    """Leave out nodes that read or make numbers beyond a bound, NaN or infinity.

    So too those that read a lone number, other than zero, that the type has no place for.
    """
    values: dict[ir.Value, float] = {}
    for node, changing in found.items():
        for value in _changing(node, changing):
            values.setdefault(value, 0.0)
    for value in values:
        held = graph.array(value)
        if held is not None:
            values[value] = math.inf if _vanishes(held, to) else _largest(held)
    moving = [value for value in values if graph.tensor(value) is None]

    def see(value: ir.Value, seen: Range | None, _: str) -> None:
        if seen is not None:
            largest = max(-seen.low, seen.high) if seen.finite else math.inf
            values[value] = max(values[value], largest)

    if moving:
        stream_extremes(model, moving, context, see, "ranges")
    return {
        node: changing
        for node, changing in found.items()
        if all(values[value] <= most for value in _changing(node, changing))
    }


def _vanishes(array: np.ndarray, to: ir.DataType) -> bool:
    """Return whether a lone number, such as what keeps a division from zero, becomes zero."""
    if array.size != 1 or array.reshape(-1)[0] == 0:
        return False
    with np.errstate(over="ignore"):
        return bool(array.astype(to.numpy()).reshape(-1)[0] == 0)


def _changing(node: ir.Node, changing: Sides) -> list[ir.Value]:
    ins = [node.inputs[at] for at in changing.inputs]
    return [
        value
        for value in (*ins, *(node.outputs[at] for at in changing.outputs))
        if value is not None
    ]


def _largest(array: np.ndarray) -> float:
    """Return the largest magnitude, infinity where a number is NaN; 0 of nothing."""
    found = float(np.abs(array).max(initial=0.0))
    return found if np.isfinite(found) else np.inf


class _Writing:
    """Types being changed, with casts where the other precision is read."""

    def __init__(
        self, model: ir.Model, found: dict[ir.Node, Sides], to: ir.DataType, *, interface: bool
    ) -> None:
        self._model, self._found, self._to = model, found, to
        self._names = graph.Names(model)
        self._interface = interface
        self._cast: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def run(self) -> None:
        if self._interface:
            self._inputs()
        made = dict.fromkeys(
            node.outputs[at] for node, changing in self._found.items() for at in changing.outputs
        )
        for node, changing in self._found.items():
            for at in changing.inputs:
                value = node.inputs[at]
                if value is not None and value not in made:
                    node.replace_input_with(at, self._half(value))
        for value in made:
            self._outward(value)

    def _outward(self, value: ir.Value) -> None:
        """Give a value its new type, and those that need the old one a cast of it."""
        readers = [use for use in value.uses() if not self._reads_half(use.node, use.idx)]
        outside = value.is_graph_output() and not self._interface
        value.type = ir.TensorType(self._to)
        if not readers and not outside:
            return
        node = value.producer()
        assert node is not None
        cast = self._node(value, ir.DataType.FLOAT)
        self._model.graph.insert_after(node, cast)
        for use in readers:
            use.node.replace_input_with(use.idx, cast.outputs[0])
        if outside:
            name = value.name
            self._model.graph.outputs[self._model.graph.outputs.index(value)] = cast.outputs[0]
            value.name = self._names.fresh(f"{name}_{self._to.name.lower()}")
            cast.outputs[0].name = name

    def _reads_half(self, node: ir.Node, at: int) -> bool:
        return node in self._found and at in self._found[node].inputs

    def _half(self, value: ir.Value) -> ir.Value:
        """Return a value of float32 in half precision: a constant, or one cast for all readers."""
        key = (value, self._to)
        if key not in self._cast:
            held = graph.array(value)
            if held is None:
                self._cast[key] = self._casted(value)
            else:
                numbers = held.astype(self._to.numpy())
                name = self._names.fresh(f"{value.name}_{self._to.name.lower()}")
                made = graph.constant(graph.tensor_of(numbers, self._to), name)
                self._model.graph.register_initializer(made)
                self._cast[key] = made
        return self._cast[key]

    def _casted(self, value: ir.Value) -> ir.Value:
        cast = self._node(value, self._to)
        producer = value.producer()
        if producer is None:
            self._model.graph.insert_before(self._model.graph[0], cast)
        else:
            self._model.graph.insert_after(producer, cast)
        return cast.outputs[0]

    def _node(self, value: ir.Value, to: ir.DataType) -> ir.Node:
        name = self._names.fresh(f"{value.name}_{to.name.lower()}")
        cast = ir.Node("", "Cast", [value], [ir.AttrInt64("to", int(to))], name=name)
        cast.outputs[0].name = name
        cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(to), value.shape
        return cast

    def _inputs(self) -> None:
        """Let float32 inputs of the model be half, cast for those that read them as they were."""
        for value in self._model.graph.inputs:
            if value.dtype != ir.DataType.FLOAT or value.is_initializer():
                continue
            value.type = ir.TensorType(self._to)
            self._cast[(value, self._to)] = value
            readers = [u for u in value.uses() if not self._reads_half(u.node, u.idx)]
            if readers:
                cast = self._node(value, ir.DataType.FLOAT)
                self._model.graph.insert_before(self._model.graph[0], cast)
                for use in readers:
                    use.node.replace_input_with(use.idx, cast.outputs[0])
