"""The smallest weights become zero."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context
from onnxopt.errors import UsageError
from onnxopt.layers import matrices
from onnxopt.layers.readers import Layer
from onnxopt.passes.prune import _weights
from onnxopt.passes.prune._weights import Sparse
from onnxopt.sparsity import masks
from onnxopt.sparsity.smallest import Smallest


class Magnitude(Sparse):
    """``w`` becomes 0 where ``|w|`` is among the smallest: of its layer, or of the whole model.

    Weights of Conv, Gemm and MatMul. Zeros make the compressed file smaller; ONNX Runtime
    computes no faster for them. Source: Han et al., 2015.
    """

    scope: Literal["layer", "model"] = "layer"

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of weights that were changed."""
        if self.scope == "model" and self.density.patterned:
            raise UsageError("prune/magnitude: scope=model and 'of' contradict; take one of them")
        layers = self.layers(model)
        limit = self._limit(layers) if self.scope == "model" else None
        return sum(self.store(layer, self._pruned(layer, limit), context) for layer in layers)

    def _limit(self, layers: list[Layer]) -> float:
        smallest = Smallest(lambda: (matrices.matrix(layer) for layer in layers))
        return smallest.bound(self.ratio)

    def _pruned(self, layer: Layer, limit: float | None) -> np.ndarray:
        rows = matrices.matrix(layer)
        magnitude = np.abs(rows)
        if limit is not None:
            return np.where(magnitude < limit, 0, rows)
        if not self.density.patterned:
            return np.where(masks.lowest(magnitude, self.ratio), 0, rows)
        order = _weights.arrangement(layer)
        flat = magnitude[..., order].reshape(-1, rows.shape[-1])
        gone = np.empty(rows.shape, bool)
        gone[..., order] = masks.lowest_of_blocks(flat, self.density).reshape(rows.shape)
        return np.where(gone, 0, rows)
