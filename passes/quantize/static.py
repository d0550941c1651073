"""Layers on integers, with scales fixed by calibration."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.errors import UsageError
from onnxopt.kernels import IntegerKernels, Role
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize._emit import Emitter, graph_of, with_room
from onnxopt.passes.quantize._joined import join
from onnxopt.passes.quantize._plan import Choice, Plan, data_inputs, plan
from onnxopt.quantization import ranges
from onnxopt.quantization.coverage import taken_along
from onnxopt.quantization.granularity import PerTensor
from onnxopt.quantization.pairs import WeightForm
from onnxopt.quantization.params import Params, fit, fit_array, quantize
from onnxopt.quantization.types import SINCE_AXIS, QuantType, named


class Static(Pass):
    """``y = W x + b`` becomes ``DQ(W8) DQ(Q(x)) + DQ(b32)``, where the target has the kernel.

    ``Q(x) = clip(round(x / s) + z)`` with s and z from the calibrated range of x. What lies between
    two such layers joins in; everything else stays in floating point. Values without a calibrated
    range, and the bodies of If, Loop and Scan, stay as they are. From operator set 13 on. With
    float8 activations, z = 0 and nothing but the inputs of products is quantized.
    """

    lossless: ClassVar[bool] = False
    quantizes: ClassVar[bool] = True

    per_channel: bool = True
    """Weights have one scale for each output channel, not one for all."""
    activations: Literal[
        "target", "int8", "uint8", "int16", "uint16", "float8e4m3fn", "float8e5m2"
    ] = "target"
    weights: Literal["target", "int8", "uint8", "float8e4m3fn", "float8e5m2"] = "target"
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
        if kernels is None:
            return 0
        activations = _chosen(self.activations, kernels.activations)
        stored = self.stored(kernels)
        if stored.floating != activations.floating or (stored.floating and self.weight_bits):
            raise UsageError(
                f"activations in {activations.name} and weights in {stored.name}"
                f"{f' of {self.weight_bits} bits' if self.weight_bits else ''} are no pair: take "
                "integers for both, or float8 for both, all of its bits"
            )
        if graph.opset(model) < max(SINCE_AXIS, activations.since, stored.since):
            return 0
        if activations.floating:
            kernels = kernels.in_floats()
        choice = Choice(only=self.only, skip=self.skip)
        found = plan(model, kernels, choice)
        denied = frozenset(
            layer.node
            for layer in found.layers.values()
            if not context.gate.permit(self.name, layer.output.name or "")
        )
        if denied:
            found = plan(model, kernels, dataclasses.replace(choice, without=denied))
        if found.layers:
            _Placing(model, self, kernels, found).run()
        return len(found.layers)

    def stored(self, kernels: IntegerKernels) -> QuantType:
        """Return the type of weights: the target's own, and that of floating-point activations."""
        activations = _chosen(self.activations, kernels.activations)
        return _chosen(self.weights, activations.name if activations.floating else kernels.weights)


class _Placing:
    """A plan being carried out."""

    def __init__(
        self, model: ir.Model, asked: Static, kernels: IntegerKernels, found: Plan
    ) -> None:
        self._asked = asked
        self._kernels = kernels
        self._plan = found
        self._emitter = Emitter(model)
        self._params: dict[ir.Value, Params] = {}
        self._weights: dict[tuple[ir.Value, int, bytes], ir.Value] = {}
        self._sums: dict[ir.Value, ir.Value] = {}
        """What stands where outputs of layers did whose bias was set apart."""
        self._activation = _chosen(asked.activations, kernels.activations)
        self._form = WeightForm.of(
            asked.stored(kernels),
            kernels,
            bits=asked.weight_bits,
            per_channel=asked.per_channel,
            portable=asked.portable,
        )

    def run(self) -> None:
        made = list(self._plan.requantized())
        inputs = [layer.x for layer in self._plan.layers.values()]
        read = [value for value in dict.fromkeys(inputs) if value not in set(made)]
        self._fit([*read, *made])
        for layer in self._plan.layers.values():
            self._layer(layer)
        for node in self._plan.between:
            self._constants(node)
        for value in read:
            now = self._sums.get(value, value)
            self._emitter.around(now, self._params[value], self._plan.integer)
        moved = [n for n, kernel in self._plan.between.items() if kernel.role is Role.MOVED]
        own = set(made) - {value for node in moved for value in node.outputs}
        for value in made:
            if value in own:
                self._emitter.behind(self._sums.get(value, value), self._params[value])
        for node in moved:
            self._emitter.moved(node, self._params[node.outputs[0]])

    def _fit(self, values: list[ir.Value]) -> None:
        """Choose scales; what only moves data keeps the ones it reads."""
        for value in values:
            found = ranges.read(value)
            if found is not None:
                self._params[value] = fit(
                    found.low, found.high, self._activation, symmetric=self._kernels.symmetric
                )
        join(self._plan, self._params, symmetric=self._kernels.symmetric)
        for node, kernel in self._plan.between.items():
            if kernel.role is not Role.OWN:
                same = self._params[data_inputs(node)[0]]
                self._params.update(dict.fromkeys(node.outputs, same))

    def _layer(self, layer: Layer) -> None:
        layer.node.name = layer.node.name or self._emitter.name(layer.output)
        x = self._params[layer.x]
        asked = None if self._kernels.float_bias else layer.bias
        numbers = None if asked is None else readers.contents(asked).reshape(-1)
        weights = self._form.params(layer)
        if numbers is not None and self._inside(layer):
            weights = with_room(weights, x, numbers)
        layer.node.replace_input_with(1, self._stored(layer, weights))
        if layer.bias is None and self._apart(layer):
            nothing = np.zeros(readers.contents(layer.weight).shape[layer.axis], np.float32)
            self._sums[layer.output] = self._emitter.apart(layer, nothing)
        if layer.bias is None or numbers is None:
            return
        if self._inside(layer):
            steps = np.broadcast_to(weights.scale * x.scale, numbers.shape)
            made = self._emitter.bias(numbers, steps, layer.bias)
            graph_of(layer.node).insert_before(layer.node, made)
            reader = layer.adds or layer.node
            index = next(i for i, operand in enumerate(reader.inputs) if operand is layer.bias)
            reader.replace_input_with(index, made.outputs[0])
        else:
            self._sums[layer.output] = self._emitter.apart(layer, numbers)

    def _apart(self, layer: Layer) -> bool:
        """Return whether a product finds its kernel only where a sum parts it from its reader."""
        taken = taken_along(layer.output, self._plan.kernels[layer.node])
        return taken and not self._plan.absorbed(layer.output)

    def _inside(self, layer: Layer) -> bool:
        """Return whether a bias can go into the integer product.

        ONNX Runtime makes a Gemm of a product and a vector added to it, but of more than two
        dimensions only where it knows them all; and where an activation follows it joins that too,
        and finds no integer kernel for the three.
        """
        if layer.adds is not None and graph.rank(layer.x) != 2:
            return False
        row = self._kernels.rows["Gemm"] if layer.adds else self._plan.kernels[layer.node]
        readers = [use.node for use in layer.output.uses()]
        joined = len(readers) == 1 and readers[0].op_type in row.joins
        taken = joined or taken_along(layer.output, row)
        return not taken or self._plan.absorbed(layer.output)

    def _stored(self, layer: Layer, params: Params) -> ir.Value:
        """Return the weight in integers; layers that share one share its integers."""
        key = (layer.weight, layer.axis, params.scale.tobytes())
        if key not in self._weights:
            integers = quantize(readers.contents(layer.weight), params)
            made = self._emitter.dequantized(integers, params, layer.weight)
            graph_of(layer.node).insert_before(layer.node, made)
            self._weights[key] = made.outputs[0]
        return self._weights[key]

    def _constants(self, node: ir.Node) -> None:
        """Store the constant operands of a node between layers in integers."""
        for value in dict.fromkeys(data_inputs(node)):
            if graph.tensor(value) is None:
                continue
            numbers = readers.contents(value)
            params = fit_array(
                numbers, self._activation, PerTensor(), symmetric=self._kernels.symmetric
            )
            made = self._emitter.dequantized(quantize(numbers, params), params, value)
            graph_of(node).insert_before(node, made)
            for index, operand in enumerate(node.inputs):
                if operand is value:
                    node.replace_input_with(index, made.outputs[0])


def _chosen(asked: str, own: str) -> QuantType:
    """Return the type that is asked for, or the target's own."""
    return named(own if asked == "target" else asked)
