"""The way from the layer that makes an output's classes to the output, and fewer of them on it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.errors import ModelError, UsageError
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.ops import ELEMENTWISE, key

_KEEPS = frozenset(
    ("", name)
    for name in (
        "Flatten",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "LogSoftmax",
        "Reshape",
        "Softmax",
        "Squeeze",
    )
)
"""Operators behind which every class is still there, once for each class before."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Path:
    """A layer, the nodes behind it in order, and the output that the last of them makes."""

    layer: Layer
    nodes: tuple[ir.Node, ...]
    output: ir.Value
    axes: tuple[int, ...] = ()
    """The axis of the classes in what the layer makes, and in what each of the nodes makes."""

    @property
    def channels(self) -> int:
        """Return how many classes there are."""
        return int(readers.contents(self.layer.weight).shape[self.layer.axis])


def path(output: ir.Value) -> Path:
    """Follow an output back to the layer that makes its classes.

    Raises ModelError where another node comes first.
    """
    nodes: list[ir.Node] = []
    value = output
    while (node := value.producer()) is not None:
        layer = _layer(node, value)
        if layer is not None:
            return _followed(Path(layer=layer, nodes=tuple(reversed(nodes)), output=output))
        follows = key(node) in _KEEPS or (not node.domain and node.op_type in ELEMENTWISE)
        before = node.inputs[0] if follows else None
        if before is None or not graph.sole_use(before):
            break
        nodes.append(node)
        value = before
    raise ModelError(f"the classes of output '{output.name}' cannot be chosen: {_why(node)}")


def _why(node: ir.Node | None) -> str:
    """Say what is wrong with the node that comes first."""
    if node is None:
        return "it comes from an input, not from a layer"
    if node.inputs and node.inputs[0] is not None and not graph.sole_use(node.inputs[0]):
        return f"'{node.inputs[0].name}' is read elsewhere or an output too"
    return (
        f"{node.op_type} '{node.name}' is neither a layer with constant weights nor an operator "
        "that keeps classes apart"
    )


def _layer(node: ir.Node, value: ir.Value) -> Layer | None:
    """Return the layer that makes a value, its bias included."""
    found = readers.read(node)
    if found is None and node.op_type == "Add" and not node.domain:
        makers = (operand.producer() for operand in node.inputs if operand is not None)
        read = (readers.read(maker) for maker in makers if maker is not None)
        found = next((layer for layer in read if layer is not None and layer.adds is node), None)
    grouped = found is not None and graph.attr_int(found.node, "group", 1) > 1
    return None if found is None or grouped or found.output is not value else found


def _followed(found: Path) -> Path:
    """Return a path with the axes of the classes.

    Raises ModelError where the classes are not one axis of all that lies on it.
    """
    rank = len(graph.dims(found.layer.output) or ())
    axes = [1 if found.layer.node.op_type == "Conv" else rank - 1]
    for node in found.nodes:
        axis = _after(node, axes[-1], found.channels)
        if axis is None:
            raise ModelError(
                f"output '{found.output.name}' holds more than one number for each class, or "
                f"{node.op_type} '{node.name}' mixes classes with something else"
            )
        axes.append(axis)
    return dataclasses.replace(found, axes=tuple(axes))


def _after(node: ir.Node, axis: int, classes: int) -> int | None:
    """Return the axis of the classes behind a node; None where it is none any more."""
    before, after = (graph.dims(value) for value in (node.inputs[0], node.outputs[0]))
    if before is None or after is None:
        return None
    if node.op_type in ("Flatten", "Reshape", "Squeeze"):
        ahead = _product(before[:axis])
        places = [at for at, size in enumerate(after) if size == classes]
        fitting = (at for at in places if _product(after[:at]) == ahead)
        return next(fitting, None)
    moved = axis + len(after) - len(before)
    return moved if 0 <= moved < len(after) and after[moved] == classes else None


def _product(sizes: Sequence[int | str | None]) -> tuple[int, tuple[str, ...]]:
    """Return the product of the numbers among some extents, and the names of the others."""
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known), tuple(sorted(str(s) for s in sizes if not isinstance(s, int)))


def check(found: Path, classes: Sequence[int]) -> None:
    """Raise UsageError for a class that there is not, or that is named twice."""
    wrong = [one for one in classes if not 0 <= one < found.channels]
    if wrong:
        raise UsageError(
            f"output '{found.output.name}' has classes 0 to {found.channels - 1}, not {wrong[0]}"
        )
    if len(set(classes)) < len(classes):
        raise UsageError("a class is named twice; name each that stays once")


def cut(model: ir.Model, found: Path, classes: Sequence[int]) -> None:
    """Leave only some classes in the layer's weight and bias and in the shapes behind it."""
    layer, before, names = found.layer, found.channels, graph.Names(model)
    weight = np.take(readers.contents(layer.weight), classes, layer.axis)
    _give(layer.node, layer.weight, weight, names)
    if layer.bias is not None:
        bias = readers.contents(layer.bias)
        kept = np.take(bias, classes, bias.ndim - 1)
        _give(layer.adds or layer.node, layer.bias, kept, names)
    for node, axis in zip(found.nodes, found.axes[1:], strict=True):
        sizes = node.inputs[1] if node.op_type == "Reshape" else None
        wanted = list(graph.ints(sizes) or ())
        if sizes is not None and wanted and wanted[axis] == before:
            wanted[axis] = len(classes)
            _give(node, sizes, np.array(wanted, np.int64), names)
    makers = (layer.node, *(() if layer.adds is None else (layer.adds,)))
    made = [(value, found.axes[0]) for node in makers for value in node.outputs]
    behind = zip(found.nodes, found.axes[1:], strict=True)
    made += [(node.outputs[0], axis) for node, axis in behind]
    for value, axis in made:
        known = list(graph.dims(value) or ())
        if known:
            known[axis] = len(classes)
            value.shape = ir.Shape(known)


def _give(node: ir.Node, old: ir.Value, array: np.ndarray, names: graph.Names) -> None:
    """Let a node read another constant; the old one may have other readers."""
    home = node.graph
    assert isinstance(home, ir.Graph)
    made = graph.constant(np.ascontiguousarray(array), names.fresh(f"{old.name}_kept"))
    home.register_initializer(made)
    node.replace_input_with(list(node.inputs).index(old), made)
