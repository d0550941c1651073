"""Layers given new weights one after the other, by what they multiply on the samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize import _inputs
from onnxopt.quantization import rounding
from onnxopt.quantization.params import Params, dequantize
from onnxopt.quantization.types import QuantType

Integers = Callable[[np.ndarray, np.ndarray, Params], tuple[np.ndarray, Params]]
"""From a weight [outputs, columns], the second moments of what its columns are multiplied with, and
parameters, to integers and the parameters that they are of."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What weights are rounded to."""

    type: QuantType
    block: int
    symmetric: bool
    damping: float


def round_layers(
    model: ir.Model, context: Context, rule: str, form: Form, integers: Integers
) -> int:
    """Round the weight of every layer that nobody else reads, and return how many there were."""
    layers = _of(model)
    changes = 0
    for chosen in _inputs.batches(map(_inputs.size, layers)):
        batch = layers[chosen.start : chosen.stop]
        grams = _inputs.Grams(model, batch, context)
        for layer in batch:
            gram = grams.of(layer)
            if gram is not None and context.gate.permit(rule, layer.weight.name or ""):
                matrices.replace(layer, _rounded(layer, gram, form, integers))
                changes += 1
    return changes


def _rounded(layer: Layer, grams: np.ndarray, form: Form, integers: Integers) -> np.ndarray:
    block = 0 if layer.node.op_type == "Conv" else form.block
    found = []
    for weight, gram in zip(matrices.matrix(layer), grams, strict=True):
        importance = np.diag(gram) + form.damping * np.diag(gram).mean()
        params = rounding.least_error(
            weight, form.type, block, symmetric=form.symmetric, importance=importance
        )
        found.append(dequantize(*integers(weight, gram, params)))
    return np.stack(found)


def _of(model: ir.Model) -> list[Layer]:
    """Return the layers of the main graph whose weight nobody else reads."""
    found = [readers.read(node) for node in model.graph]
    return [layer for layer in found if layer is not None and graph.sole_use(layer.weight)]
