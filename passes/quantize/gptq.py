"""Round weights so that what layers compute on the samples changes least."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize import _inputs
from onnxopt.quantization import rounding, types
from onnxopt.quantization.params import dequantize
from onnxopt.quantization.types import TypeName


class Gptq(Pass):
    """Replace weights by numbers that a quantized type holds, chosen for the layers' outputs.

    Column by column, what rounding loses is made up for by the columns that are left, weighed by
    the second moments of the inputs (Frantar et al., GPTQ, 2022). The outermost integers of every
    scale are kept in use, so that fitting a scale to the new weights gives the same scale and
    rounding to it the same integers: a later quantization with this type, symmetry and block loses
    nothing more.
    """

    lossless: ClassVar[bool] = False
    idempotent: ClassVar[bool] = False
    needs_samples: ClassVar[bool] = True

    type: TypeName = "uint4"
    symmetric: bool = False
    block: int = 32
    """Neighbouring inputs that share a scale; 0 is one scale for each output channel.

    Convolutions have one for each output channel always.
    """
    damping: float = 0.01
    """What is added to the second moments, as a share of their mean."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Round every layer's weight once, and return how many were."""
        layers = _of(model)
        changes = 0
        for chosen in _inputs.batches(map(_inputs.size, layers)):
            batch = layers[chosen.start : chosen.stop]
            grams = _inputs.Grams(model, batch, context)
            for layer in batch:
                gram = grams.of(layer)
                if gram is not None and context.gate.permit(self.name, layer.weight.name or ""):
                    matrices.replace(layer, self._rounded(layer, gram))
                    changes += 1
        return changes

    def _rounded(self, layer: Layer, grams: np.ndarray) -> np.ndarray:
        kind = types.named(self.type)
        rows = matrices.matrix(layer)
        block = 0 if layer.node.op_type == "Conv" else self.block
        found = np.empty(rows.shape, np.float32)
        for group, (weight, gram) in enumerate(zip(rows, grams, strict=True)):
            importance = np.diag(gram) + self.damping * np.diag(gram).mean()
            params = rounding.least_error(
                weight, kind, block, symmetric=self.symmetric, importance=importance
            )
            integers = rounding.gptq(
                weight, gram, params, symmetric=self.symmetric, damping=self.damping
            )
            found[group] = dequantize(integers, params)
        return found


def _of(model: ir.Model) -> list[Layer]:
    """Return the layers of the main graph whose weight nobody else reads."""
    found = [readers.read(node) for node in model.graph]
    return [layer for layer in found if layer is not None and graph.sole_use(layer.weight)]
