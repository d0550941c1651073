"""Layers on integers, with scales found for every run."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.kernels import IntegerKernels
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize._emit import Emitter, graph_of
from onnxopt.passes.quantize._plan import Choice
from onnxopt.quantization.packing import stored
from onnxopt.quantization.pairs import WeightForm
from onnxopt.quantization.params import quantize
from onnxopt.quantization.types import INT8

_SINCE = 11
"""The operator set that has DynamicQuantizeLinear."""


class Dynamic(Pass):
    """``x W + b`` becomes ``s_x s_w (Q(x) Q(W)) + b``, Q(x) in uint8 by the extremes of x.

    Each run finds the scale s_x of its own x, so nothing is calibrated. Of matrix products with
    constant weights; ONNX Runtime runs the five operators that are written as one.
    """

    lossless: ClassVar[bool] = False
    quantizes: ClassVar[bool] = True

    per_channel: bool = True
    """Weights have one scale for each output channel, not one for all."""
    weight_bits: int = 0
    """Bits of a weight that are used; 0 leaves it to the target, and 8 may overflow where it adds
    in 16 bits."""
    portable: bool = False
    """No two weights that are added in 16 bits overflow them, whatever the target."""
    only: tuple[str, ...] = ()
    """Patterns of node, output and operator names: nothing else is quantized."""
    skip: tuple[str, ...] = ()
    """Patterns of what stays in floating point."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of layers that became integer."""
        kernels = context.target.integer
        if kernels is None or graph.opset(model) < _SINCE:
            return 0
        choice = Choice(only=self.only, skip=self.skip)
        writing = _Writing(Emitter(model), self, kernels)
        changes = 0
        for node in list(model.graph):
            asked = node.op_type in kernels.dynamic and choice.allows(node)
            layer = readers.read(node) if asked else None
            if layer is not None and context.gate.permit(self.name, layer.output.name or ""):
                writing.layer(layer)
                changes += 1
        return changes


class _Writing:
    def __init__(self, emitter: Emitter, asked: Dynamic, kernels: IntegerKernels) -> None:
        self._emitter = emitter
        self._form = WeightForm.of(
            INT8,
            kernels,
            bits=asked.weight_bits,
            per_channel=asked.per_channel,
            portable=asked.portable,
        )
        self._inputs: dict[ir.Value, ir.Node] = {}
        self._weights: dict[tuple[ir.Value, int], tuple[ir.Value, ir.Value]] = {}

    def layer(self, layer: Layer) -> None:
        """Put the integer form in the place of a layer."""
        emit, output = self._emitter, layer.output
        data = self._quantized(layer)
        integers, zero = data.outputs[0], data.outputs[2]
        weight, scale = self._weight(layer)
        product = emit.node("MatMulInteger", [integers, weight, zero], output)
        product.outputs[0].type = ir.TensorType(ir.DataType.INT32)
        kind = {"to": int(ir.DataType.FLOAT)}
        real = emit.node("Cast", product.outputs, output, kind)
        steps = emit.node("Mul", [data.outputs[1], scale], output)
        steps.outputs[0].shape = None
        scaled = emit.node("Mul", [real.outputs[0], steps.outputs[0]], output)
        nodes = [product, real, steps, scaled]
        if layer.bias is not None:
            row = emit.constant(readers.contents(layer.bias).reshape(-1), f"{layer.bias.name}_row")
            nodes.append(emit.node("Add", [scaled.outputs[0], row], output))
        for made in (real, steps, *nodes[3:]):
            made.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        graph_of(layer.node).insert_after(layer.node, nodes)
        graph.replace(output, nodes[-1].outputs[0], fresh=True)
        graph.remove_dead([layer.adds or layer.node])

    def _quantized(self, layer: Layer) -> ir.Node:
        """Return the node that quantizes a value; layers that read the same one share it."""
        x = layer.x
        if x not in self._inputs:
            made = self._emitter.node("DynamicQuantizeLinear", [x], x, outputs=3)
            kinds = (ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.UINT8)
            for value, kind in zip(made.outputs, kinds, strict=True):
                value.type = ir.TensorType(kind)
            for value in made.outputs[1:]:
                value.shape = ir.Shape([])
            graph_of(layer.node).insert_before(layer.node, made)
            self._inputs[x] = made
        return self._inputs[x]

    def _weight(self, layer: Layer) -> tuple[ir.Value, ir.Value]:
        """Return the weight in int8 as a matrix [inputs, channels], and its scale."""
        key = (layer.weight, layer.axis)
        if key not in self._weights:
            params = self._form.params(layer)
            numbers = quantize(readers.contents(layer.weight), params)
            matrix = np.ascontiguousarray(numbers.T if layer.axis == 0 else numbers)
            integers = stored(matrix, INT8)
            base = layer.weight.name
            self._weights[key] = (
                self._emitter.constant(integers, f"{base}_int8"),
                self._emitter.constant(params.scale, f"{base}_scale"),
            )
        return self._weights[key]
