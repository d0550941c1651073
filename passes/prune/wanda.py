"""Weights that matter least where the activations are small become zero."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context
from onnxopt.layers import matrices
from onnxopt.layers.readers import Layer
from onnxopt.passes.prune import _weights
from onnxopt.passes.prune._weights import Sparse
from onnxopt.passes.quantize import _inputs
from onnxopt.sparsity import masks


class Wanda(Sparse):
    """``W[i, j]`` becomes 0 where ``|W[i, j]| sqrt(sum x_j^2)`` is among the smallest of row i.

    x are the inputs on the samples; rows are output channels. Nothing makes up for what goes.
    Source: Sun et al., Wanda, 2023.
    """

    needs_samples: ClassVar[bool] = True

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of weights that were changed."""
        layers = self.layers(model)
        if not layers:
            return 0
        norms = _inputs.Powers(model, layers, context)
        return sum(
            self.store(layer, self._pruned(layer, power), context)
            for layer in layers
            if (power := norms.of(layer)) is not None
        )

    def _pruned(self, layer: Layer, power: np.ndarray) -> np.ndarray:
        rows = matrices.matrix(layer)
        order, density = _weights.arrangement(layer), self.density
        scores = np.abs(rows) * np.sqrt(power)[:, None]
        flat = scores[..., order].reshape(-1, rows.shape[-1])
        gone = np.empty(rows.shape, bool)
        gone[..., order] = masks.choose(flat, density).reshape(rows.shape)
        return np.where(gone, 0, rows)
