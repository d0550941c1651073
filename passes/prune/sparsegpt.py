"""Weights become zero so that what layers compute on the samples changes least."""

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
from onnxopt.sparsity import surgeon


class Sparsegpt(Sparse):
    """Set weights to zero column by column; those behind make up for what goes.

    Weighed by the second moments of the inputs on the samples.
    Source: Frantar and Alistarh, SparseGPT, 2023.
    """

    needs_samples: ClassVar[bool] = True

    damping: float = 0.01
    """What is added to the second moments, as a share of their mean."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of weights that were changed."""
        layers = self.layers(model)
        changes = 0
        for chosen in _inputs.batches(map(_inputs.size, layers)):
            batch = layers[chosen.start : chosen.stop]
            grams = _inputs.Grams(model, batch, context)
            for layer in batch:
                gram = grams.of(layer)
                if gram is not None:
                    changes += self.store(layer, self._pruned(layer, gram), context)
        return changes

    def _pruned(self, layer: Layer, grams: np.ndarray) -> np.ndarray:
        rows = matrices.matrix(layer)
        order = _weights.arrangement(layer)
        found = np.empty(rows.shape, rows.dtype)
        for group, (weight, gram) in enumerate(zip(rows, grams, strict=True)):
            ordered = gram[np.ix_(order, order)]
            new = surgeon.sparsegpt(weight[:, order], ordered, self.density, damping=self.damping)
            found[group][:, order] = new
        return found
