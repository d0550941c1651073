"""Puts QuantizeLinear and DequantizeLinear into a graph, and weights in integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.layers.readers import Layer
from onnxopt.quantization.granularity import PerTensor
from onnxopt.quantization.packing import stored
from onnxopt.quantization.params import Params

INT32 = 2**31 - 1


class Emitter:
    """Makes the nodes of one graph; equal constants are stored once."""

    def __init__(self, model: ir.Model) -> None:
        self._home = model.graph
        self._names = graph.Names(model)
        self._scalars: dict[tuple[str, bytes], ir.Value] = {}

    def name(self, value: ir.Value) -> str:
        """Return a free name for the node of a value."""
        return self._names.fresh(f"{value.name}_node")

    def constant(self, tensor: ir.TensorProtocol | np.ndarray, base: str) -> ir.Value:
        """Store a tensor as an initializer."""
        value = graph.constant(tensor, self._names.fresh(base))
        self._home.register_initializer(value)
        return value

    def _scalar(self, number: np.ndarray, base: str) -> ir.Value:
        """Store a number, or find it where it is stored already."""
        key = (str(number.dtype), number.tobytes())
        if key not in self._scalars:
            self._scalars[key] = self.constant(number, base)
        return self._scalars[key]

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        like: ir.Value,
        attributes: dict[str, int] | None = None,
        *,
        outputs: int = 1,
    ) -> ir.Node:
        """Make a node, named after the value it serves; the caller puts it into the graph."""
        name = self._names.fresh(f"{like.name}_{op_type}")
        made = ir.Node(
            "",
            op_type,
            inputs,
            [ir.AttrInt64(key, value) for key, value in (attributes or {}).items()],
            name=name,
            num_outputs=outputs,
        )
        for value in made.outputs:
            value.name = name if value is made.outputs[0] else self._names.fresh(name)
        made.outputs[0].shape = like.shape
        return made

    def pair(self, value: ir.Value, params: Params) -> tuple[ir.Node, ir.Node]:
        """Make QuantizeLinear and DequantizeLinear of a value, one scale for all of it."""
        kind = params.type.stored
        scale = self._scalar(params.scale.reshape(()), "scale")
        zero = self._scalar(params.zero_point.reshape(()).astype(kind.numpy()), "zero_point")
        quantize = self.node("QuantizeLinear", [value, scale, zero], value)
        quantize.outputs[0].type = ir.TensorType(kind)
        dequantize = self.node("DequantizeLinear", [quantize.outputs[0], scale, zero], value)
        dequantize.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        return quantize, dequantize

    def around(self, value: ir.Value, params: Params, reads: Callable[[ir.Node], bool]) -> None:
        """Quantize a value for those of its readers that ask for it."""
        quantize, dequantize = self.pair(value, params)
        uses = [use for use in value.uses() if use.node is not quantize and reads(use.node)]
        self._insert(value, [quantize, dequantize])
        for use in uses:
            use.node.replace_input_with(use.idx, dequantize.outputs[0])

    def behind(self, value: ir.Value, params: Params) -> None:
        """Quantize a value for all of its readers, the graph's output included."""
        quantize, dequantize = self.pair(value, params)
        after = dequantize.outputs[0]
        quantize.replace_input_with(0, None)
        self._insert(value, [quantize, dequantize])
        graph.replace(value, after)
        if value.name is None:
            value.name = self._names.fresh(f"{after.name}_float")
        quantize.replace_input_with(0, value)

    def moved(self, node: ir.Node, params: Params) -> None:
        """Let a node move the integers that its first input was dequantized from."""
        before = node.inputs[0]
        dequantize = None if before is None else before.producer()
        if dequantize is None or before is None:
            raise ValueError(f"'{node.name}' does not read dequantized numbers")
        integers, zero = dequantize.inputs[0], dequantize.inputs[2]
        for output in node.outputs:
            self.behind(output, params)
        node.replace_input_with(0, integers)
        graph.remove_dead([dequantize])
        if node.op_type == "Pad":
            node.resize_inputs(max(len(node.inputs), 3))
            node.replace_input_with(2, zero)
        for output in node.outputs:
            output.type = ir.TensorType(params.type.stored)
            self._skip_quantizing(output)

    def _skip_quantizing(self, output: ir.Value) -> None:
        """Dequantize integers that are there already."""
        quantize = next(use.node for use in output.uses() if use.node.op_type == "QuantizeLinear")
        quantize.outputs[0].replace_all_uses_with(output)
        graph.remove_dead([quantize])

    def _insert(self, value: ir.Value, nodes: list[ir.Node]) -> None:
        producer = value.producer()
        if producer is not None:
            self._home.insert_after(producer, nodes)
        elif len(self._home):
            self._home.insert_before(self._home[0], nodes)

    def dequantized(self, integers: np.ndarray, params: Params, like: ir.Value) -> ir.Node:
        """Make DequantizeLinear of a constant, its scales along the granularity's axis."""
        kind = params.type
        weight = self.constant(stored(integers, kind), f"{like.name}_{kind.name}")
        scale = self.constant(params.scale, f"{like.name}_scale")
        zero = self.constant(stored(params.zero_point, kind), f"{like.name}_zero_point")
        axes: dict[str, int] = {}
        if not isinstance(params.granularity, PerTensor):
            axes = {
                "axis": params.granularity.axis,
                "block_size": getattr(params.granularity, "size", 0),
            }
        axes = {key: number for key, number in axes.items() if key == "axis" or number}
        made = self.node("DequantizeLinear", [weight, scale, zero], like, axes)
        made.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        return made

    def bias(self, bias: np.ndarray, scale: np.ndarray, like: ir.Value) -> ir.Node:
        """Make DequantizeLinear of a bias in int32, one scale a channel: [channels] both."""
        integers = np.clip(np.rint(bias.astype(np.float64) / scale), -INT32, INT32)
        held = self.constant(integers.astype(np.int32), f"{like.name}_int32")
        scales = self.constant(scale.astype(np.float32), f"{like.name}_scale")
        zero = self.constant(np.zeros(scale.shape, np.int32), f"{like.name}_zero_point")
        made = self.node("DequantizeLinear", [held, scales, zero], like, {"axis": 0})
        made.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        made.outputs[0].shape = ir.Shape(bias.shape)
        return made

    def apart(self, layer: Layer, bias: np.ndarray) -> ir.Value:
        """Add a bias behind a product as ``x - (-b)``, which no runtime joins with the product.

        Returns the sum, which stands where the layer's output did.
        """
        row = self.constant(-bias, f"{layer.weight.name}_bias")
        product = layer.node.outputs[0]
        made = self.node("Sub", [None if layer.adds is None else product, row], layer.output)
        made.outputs[0].type = product.type
        self._home.insert_after(layer.adds or layer.node, made)
        graph.replace(layer.output, made.outputs[0], fresh=layer.adds is not None)
        if layer.adds is not None:
            graph.remove_dead([layer.adds])
            return made.outputs[0]
        layer.node.resize_inputs(2)
        product.name = product.name or self._names.fresh(f"{layer.weight.name}_product")
        made.replace_input_with(0, product)
        return made.outputs[0]


def with_room(weights: Params, activations: Params, bias: np.ndarray) -> Params:
    """Return weight parameters whose scales keep a bias within int32.

    The integer product counts in steps of the product of both scales. A channel whose weights are
    next to nothing would overflow; its weights then get a coarser scale, which they do not need.
    """
    least = np.abs(bias.astype(np.float64)) / (INT32 / 2 * float(activations.scale))
    if weights.scale.ndim == 0:
        least = least.max(initial=0.0)
    scale = np.asarray(np.maximum(weights.scale, least), np.float32)
    return dataclasses.replace(weights, scale=scale)


def graph_of(node: ir.Node) -> ir.Graph:
    """Return the graph that a node is in."""
    home = node.graph
    if not isinstance(home, ir.Graph):
        raise ValueError(f"'{node.name}' is in no graph")
    return home
