"""Layers with constant weights, read alike whatever their operator: the facts are rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from onnxopt import graph


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """A product with constant weights; ``axis`` of the weight counts the output channels."""

    node: ir.Node
    x: ir.Value
    weight: ir.Value
    axis: int
    bias: ir.Value | None = None
    """One number a channel, added by the node itself or by ``adds``."""
    adds: ir.Node | None = None
    """The Add behind a MatMul that adds the bias."""

    @property
    def output(self) -> ir.Value:
        """Return what the layer computes, bias included."""
        return (self.adds or self.node).outputs[0]

    @property
    def depthwise(self) -> bool:
        """Return whether every channel is convolved alone."""
        groups = graph.attr_int(self.node, "group", 1)
        held = graph.tensor(self.weight)
        return groups > 1 and held is not None and int(held.shape.numpy()[1]) == 1


def read(node: ir.Node) -> Layer | None:
    """Return the layer that a node of the default domain is; None where it is none.

    Weights and biases must be constants of float32, and a bias must be one number a channel.
    """
    reader = None if node.domain else _READERS.get(node.op_type)
    if reader is None or len(node.inputs) < 2:
        return None
    x, weight = node.inputs[:2]
    if x is None or weight is None or x.dtype != ir.DataType.FLOAT or graph.tensor(x) is not None:
        return None
    return reader(node, x, weight) if _is_float(weight) else None


def _is_float(value: ir.Value) -> bool:
    held = graph.tensor(value)
    return held is not None and held.dtype == ir.DataType.FLOAT and held.size > 0


def _extent(weight: ir.Value, axis: int) -> int:
    held = graph.tensor(weight)
    return 0 if held is None else int(held.shape.numpy()[axis])


def _conv(node: ir.Node, x: ir.Value, weight: ir.Value) -> Layer | None:
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and not _fits(bias, _extent(weight, 0)):
        return None
    return Layer(node=node, x=x, weight=weight, axis=0, bias=bias)


def _gemm(node: ir.Node, x: ir.Value, weight: ir.Value) -> Layer | None:
    plain = graph.attr_float(node, "alpha", 1.0) == graph.attr_float(node, "beta", 1.0) == 1
    axis = 0 if graph.attr_int(node, "transB", 0) else 1
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if not plain or graph.attr_int(node, "transA", 0) or graph.rank(weight) != 2:
        return None
    if bias is not None and not _fits(bias, _extent(weight, axis)):
        return None
    return Layer(node=node, x=x, weight=weight, axis=axis, bias=bias)


def _matmul(node: ir.Node, x: ir.Value, weight: ir.Value) -> Layer | None:
    if graph.rank(weight) != 2 or (graph.rank(x) or 0) < 2:
        return None
    plain = Layer(node=node, x=x, weight=weight, axis=1)
    product = node.outputs[0]
    if not graph.sole_use(product):
        return plain
    reader, index = next(iter(product.uses()))
    if reader.domain or reader.op_type != "Add":
        return plain
    other = reader.inputs[1 - index]
    if other is None or other is product or not _fits(other, _extent(weight, 1)):
        return plain
    if (graph.rank(other) or 0) > (graph.rank(x) or 0):  # the sum has more axes than the product
        return plain
    return dataclasses.replace(plain, bias=other, adds=reader)


def _fits(bias: ir.Value, channels: int) -> bool:
    """Return whether a constant is one number a channel, in a row or with ones before it."""
    held = graph.tensor(bias)
    if held is None or held.dtype != ir.DataType.FLOAT:
        return False
    shape = tuple(held.shape.numpy())
    return bool(shape) and shape[-1] == channels and all(size == 1 for size in shape[:-1])


_READERS: dict[str, Callable[[ir.Node, ir.Value, ir.Value], Layer | None]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
}


def contents(value: ir.Value) -> np.ndarray:
    """Return the numbers of a weight or bias of a layer."""
    found = graph.array(value)
    if found is None:
        raise ValueError(f"'{value.name}' is no constant")
    return found


def shortcut(layer: Layer) -> ir.Value | None:
    """Return the activation that is added to a layer's output, which nobody else reads."""
    if not graph.sole_use(layer.output):
        return None
    reader, index = next(iter(layer.output.uses()))
    if reader.domain or reader.op_type != "Add":
        return None
    other = reader.inputs[1 - index]
    return None if other is layer.output or graph.tensor(other) is not None else other


def rectified(layer: Layer) -> tuple[float, float] | None:
    """Return the bounds of the Relu or Clip that alone reads a layer's output; None if none does.

    Or its sum with a shortcut. Beyond the bounds nothing of it is seen.
    """
    value = layer.output
    if shortcut(layer) is not None:
        value = next(iter(value.uses())).node.outputs[0]
    bounds = {_bounds(use.node) for use in value.uses()}
    return None if value.is_graph_output() or len(bounds) != 1 else bounds.pop()


def _bounds(node: ir.Node) -> tuple[float, float] | None:
    """Return between which bounds a Relu or Clip lets its input through."""
    if node.domain or node.op_type not in ("Relu", "Clip"):
        return None
    found = [0.0, math.inf] if node.op_type == "Relu" else [-math.inf, math.inf]
    for at, value in enumerate(node.inputs[1:3] if node.op_type == "Clip" else ()):
        held = None if value is None else graph.array(value)
        if value is not None and (held is None or held.size != 1):
            return None
        found[at] = found[at] if held is None else float(held.reshape(-1)[0])
    return found[0], found[1]


def set_bias(model: ir.Model, layer: Layer, numbers: np.ndarray, names: graph.Names) -> None:
    """Give a layer another bias, [channels]; a Conv or Gemm without gets one."""
    old = layer.bias
    shape = numbers.shape if old is None else contents(old).shape
    base = f"{layer.node.name or layer.output.name}_bias" if old is None else f"{old.name}"
    made = graph.constant(
        np.asarray(numbers.reshape(shape), np.float32), names.fresh(f"{base}_corrected")
    )
    model.graph.register_initializer(made)
    node = layer.adds or layer.node
    index = 2 if old is None else list(node.inputs).index(old)
    node.resize_inputs(max(len(node.inputs), index + 1))
    node.replace_input_with(index, made)
    if old is not None and old.is_initializer() and not graph.used(old):
        del model.graph.initializers[old.name or ""]
