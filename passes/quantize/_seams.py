"""Where a factor for each channel can move from the weights behind a value into those before it.

Which operators let a factor pass, and which hold one for each channel themselves, are rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize._channels import Part, Seam

_ELEMENTWISE = frozenset(("Abs", "Identity", "LeakyRelu", "Neg", "Relu"))
"""Homogeneous operators that treat each element alone."""

_POOLS = frozenset(("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool"))
"""Homogeneous operators that treat each channel, axis 1, alone."""

_GAINS: Mapping[str, tuple[int, ...]] = {
    "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
}
"""Operators that multiply each channel by a constant, and the inputs that hold it and the shift."""


def seams(model: ir.Model) -> Iterator[Seam]:
    """Yield the seams of the main graph, in its order."""
    for node in model.graph:
        made = _made(node)
        if made is None:
            continue
        value, axis, makers = made
        between: list[ir.Value] = []
        found = _readers(value, axis, between)
        if found and all(graph.sole_use(part.value) for part in makers[:1]):
            channels = math.prod(makers[0].factor)
            if all(math.prod(part.factor) == channels for _, part in found):
                yield Seam(
                    channels=channels,
                    makers=makers,
                    readers=tuple(found),
                    values=tuple(between),
                    linear=readers.read(node) is not None,
                )


def _made(node: ir.Node) -> tuple[ir.Value, int, tuple[Part, ...]] | None:
    """Return what a node makes in channels: the value, their axis, and the constants."""
    layer = readers.read(node)
    if layer is not None:
        rank = graph.rank(layer.output)
        if rank is None:
            return None
        axis = 1 if node.op_type == "Conv" else rank - 1
        shape = readers.contents(layer.weight).shape
        makers = [Part(node=node, index=1, view=shape, factor=_ones(shape, layer.axis))]
        if layer.bias is not None:
            adder = layer.adds or node
            makers.append(_vector(adder, list(adder.inputs).index(layer.bias)))
        return layer.output, axis, tuple(makers)
    gains = () if node.domain else _GAINS.get(node.op_type, ())
    rank = graph.rank(node.outputs[0]) if gains else None
    if rank is None or any(not value.name for value in node.outputs[:1]):
        return None
    held = [index for index in gains if index < len(node.inputs) and node.inputs[index] is not None]
    if not held or any(graph.rank(node.inputs[i]) != 1 or not _floats(node, i) for i in held):
        return None
    last = node.op_type != "BatchNormalization"
    if last and graph.attr_int(node, "axis", -1) not in (-1, rank - 1):
        return None
    return node.outputs[0], rank - 1 if last else 1, tuple(_vector(node, i) for i in held)


def _floats(node: ir.Node, index: int) -> bool:
    held = graph.tensor(node.inputs[index])
    return held is not None and held.dtype == ir.DataType.FLOAT


def _vector(node: ir.Node, index: int) -> Part:
    """Return a constant of one number a channel, in a row or with ones before it."""
    held = graph.tensor(node.inputs[index])
    assert held is not None
    shape = tuple(int(n) for n in held.shape.numpy())
    return Part(node=node, index=index, view=shape, factor=shape)


def _ones(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return tuple(size if place == axis else 1 for place, size in enumerate(shape))


def _readers(value: ir.Value, axis: int, between: list[ir.Value]) -> list[tuple[Layer, Part]]:
    """Return the layers that everything made of a value's channels goes into; none if not all.

    ``between`` takes the values up to there.
    """
    found: list[tuple[Layer, Part]] = []
    pending = [(value, axis, 1)]
    while pending:
        current, place, spread = pending.pop()
        between.append(current)
        if current.is_graph_output() or not current.uses():
            return []
        for use in current.uses():
            layer = readers.read(use.node)
            if layer is not None and use.idx == 0:
                part = _columns(layer, place, spread)
                if part is None or not graph.sole_use(layer.weight):
                    return []
                found.append((layer, part))
                continue
            after = _after(use.node, use.idx, place, spread)
            if after is None:
                return []
            pending.append((use.node.outputs[0], *after))
    return found


def _after(node: ir.Node, index: int, axis: int, spread: int) -> tuple[int, int] | None:
    """Return the channels' axis behind a homogeneous node, and how many elements share a channel.

    None where the node is not homogeneous, or mixes channels.
    """
    if node.domain or len(node.outputs) != 1:
        return None
    if node.op_type in _ELEMENTWISE or (node.op_type in _POOLS and axis == 1 and spread == 1):
        return axis, spread
    if node.op_type == "Mul":
        return (axis, spread) if _only_factor(node, index) else None
    if node.op_type == "Transpose":
        order = graph.attr_ints(node, "perm")
        return None if order is None else (order.index(axis), spread)
    dims = graph.dims(node.inputs[0])
    if node.op_type == "Reshape" and dims is not None and axis == len(dims) - 1:
        after = graph.dims(node.outputs[0])
        kept = after is not None and after[-1] == dims[-1] and isinstance(dims[-1], int)
        return (len(after) - 1, spread) if after is not None and kept else None
    if node.op_type == "Flatten" and axis == 1 and graph.attr_int(node, "axis", 1) == 1:
        inner = None if dims is None else dims[2:]
        if inner is None or any(not isinstance(size, int) for size in inner):
            return None
        return 1, spread * math.prod(size for size in inner if isinstance(size, int))
    return None


def _only_factor(node: ir.Node, index: int) -> bool:
    """Return whether a product's other factor is another value of at most the same rank."""
    this, other = node.inputs[index], node.inputs[1 - index]
    if this is None or other is None or this is other:
        return False
    ranks = graph.rank(this), graph.rank(other)
    dims = graph.dims(this)
    if ranks[0] is None or ranks[1] is None or dims is None or ranks[1] > ranks[0]:
        return False
    return graph.dims(node.outputs[0]) == dims


def _columns(layer: Layer, axis: int, spread: int) -> Part | None:
    """Return the weight of a layer by its input channels, each of ``spread`` columns."""
    shape = readers.contents(layer.weight).shape
    node = layer.node
    if node.op_type == "Conv":
        groups = graph.attr_int(node, "group", 1)
        if axis != 1 or spread != 1:
            return None
        view = (groups, shape[0] // groups, *shape[1:])
        factor = (groups, 1, shape[1], *(1,) * (len(shape) - 2))
        return Part(node=node, index=1, view=view, factor=factor)
    rank = graph.rank(layer.x)
    if rank is None or axis != rank - 1:
        return None
    inputs = shape[1 - layer.axis] // spread
    rest = shape[layer.axis]
    view = (rest, inputs, spread) if layer.axis == 0 else (inputs, spread, rest)
    factor = (1, inputs, 1) if layer.axis == 0 else (inputs, 1, 1)
    return Part(node=node, index=1, view=view, factor=factor)
