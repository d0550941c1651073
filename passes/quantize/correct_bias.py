"""Correct biases for the mean error that quantization makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.kernels import IntegerKernels
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize import _values
from onnxopt.passes.quantize._plan import Choice, plan
from onnxopt.quantization import ranges, types
from onnxopt.quantization.pairs import WeightForm
from onnxopt.quantization.params import fit, rounded
from onnxopt.quantization.stream import stream
from onnxopt.quantization.types import QuantType, TypeName


class _Kinds(NamedTuple):
    """What layers are rounded to."""

    weight: WeightForm
    activation: QuantType
    symmetric: bool
    """Of activations."""


class CorrectBias(Pass):
    """Add to each bias what the quantized layer's output is too low by, in the mean.

    ``b += W E[x] - W_q E[x_q]`` for each channel, the means taken over the samples; W_q are the
    weights after rounding, and x_q the activations after rounding to their calibrated range, or x
    itself where they have none. In a calibrated model, only those layers whose activations the
    target will compute on integers; and only layers with a bias, or with room for one: Conv, Gemm,
    and MatMul with an Add behind it. Source: Nagel et al., Data-Free Quantization, 2019.
    """

    lossless: ClassVar[bool] = False
    idempotent: ClassVar[bool] = False
    needs_samples: ClassVar[bool] = True

    weights: TypeName | Literal["target"] = "target"
    """The type that the weights will have, symmetric; int8 for targets without integers."""
    per_channel: bool = True
    portable: bool = False
    """No two weights that are added in 16 bits will overflow them, whatever the target."""
    activations: TypeName | Literal["target"] = "target"
    """The type that activations with a range will have; uint8 for targets without integers."""
    only: tuple[str, ...] = ()
    """Patterns of node, output and operator names: nothing else will be quantized."""
    skip: tuple[str, ...] = ()
    """Patterns of what will stay in floating point."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of biases that were corrected."""
        layers = list(self._layers(model, context))
        if not layers:
            return 0
        kinds = self._kinds(context.target.integer)
        means = self._means(model, layers, kinds, context)
        names = graph.Names(model)
        changes = 0
        for layer in layers:
            pair = means.get(layer.node)
            by = None if pair is None else self._error(layer, kinds, *pair)
            if by is None or not by.any() or not np.isfinite(by).all():
                continue
            if context.gate.permit(self.name, layer.output.name or ""):
                old = 0.0 if layer.bias is None else readers.contents(layer.bias).reshape(-1)
                readers.set_bias(model, layer, old + by, names)
                changes += 1
        return changes

    def _layers(self, model: ir.Model, context: Context) -> Iterator[Layer]:
        choice = Choice(only=self.only, skip=self.skip)
        kernels = context.target.integer
        planned = None
        if kernels is not None and any(ranges.read(value) for value in _values.floats(model)):
            planned = plan(model, kernels, choice).layers
        for node in model.graph:
            layer = readers.read(node)
            if layer is None or (layer.bias is None and node.op_type not in ("Conv", "Gemm")):
                continue
            if node in planned if planned is not None else choice.allows(node):
                yield layer

    def _kinds(self, kernels: IntegerKernels | None) -> _Kinds:
        """Return the types that layers will have, the target's own unless others are asked for."""
        weight = "int8" if kernels is None else kernels.weights
        activation = "uint8" if kernels is None else kernels.activations
        kind = types.named(weight if self.weights == "target" else self.weights)
        return _Kinds(
            WeightForm.of(kind, kernels, per_channel=self.per_channel, portable=self.portable),
            types.named(activation if self.activations == "target" else self.activations),
            self.activations == "target" and kernels is not None and kernels.symmetric,
        )

    def _means(
        self, model: ir.Model, layers: list[Layer], kinds: _Kinds, context: Context
    ) -> Mapping[ir.Node, tuple[np.ndarray, np.ndarray]]:
        """Return the means of the columns of each layer, before and after rounding.

        Both are [groups, columns], in float64.
        """
        random = np.random.default_rng(context.seed)
        readers: dict[ir.Value, list[Layer]] = {}
        for layer in layers:
            readers.setdefault(layer.x, []).append(layer)
        sums: dict[ir.Node, np.ndarray] = {}
        counts: dict[ir.Node, int] = {}

        def look(value: ir.Value, array: np.ndarray, _: str) -> None:
            both = np.stack([array, _rounded(value, array, kinds)])
            for layer in readers[value]:
                state = random.bit_generator.state
                seen = []
                for each in both:
                    random.bit_generator.state = state  # the same positions of both
                    seen.append(matrices.columns(layer, each, random))
                total = np.stack([part.sum(axis=1, dtype=np.float64) for part in seen])
                sums[layer.node] = sums.get(layer.node, 0.0) + total
                counts[layer.node] = counts.get(layer.node, 0) + seen[0].shape[1]

        stream(model, list(readers), context, look, "means of activations")
        return {
            node: (total[0] / counts[node], total[1] / counts[node])
            for node, total in sums.items()
            if counts[node]
        }

    def _error(
        self, layer: Layer, kinds: _Kinds, before: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        """Return what the quantized layer's output is too low by: [channels]."""
        weight = readers.contents(layer.weight)
        params = kinds.weight.params(layer)
        rows = matrices.matrix(layer)
        quantized = matrices.as_matrix(layer, rounded(weight, params))
        error = rows @ before[..., None] - quantized @ after[..., None]
        return np.asarray(error.reshape(-1))


def _rounded(value: ir.Value, array: np.ndarray, kinds: _Kinds) -> np.ndarray:
    found = ranges.read(value)
    if found is None:
        return array
    return rounded(array, fit(found.low, found.high, kinds.activation, symmetric=kinds.symmetric))
