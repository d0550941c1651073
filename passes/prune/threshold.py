"""Weights next to nothing become nothing."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.errors import UsageError
from onnxopt.layers import matrices
from onnxopt.passes.prune._weights import Sparse


class Threshold(Pass):
    """``w`` becomes 0 where ``|w| < below``, or below a share of the layer's largest weight.

    Weights of Conv, Gemm and MatMul. Zeros make the compressed file smaller; no runtime of ONNX
    computes faster for them.
    """

    lossless: ClassVar[bool] = False

    below: float = 1e-3
    relative: bool = False
    """``below`` is a share of the largest magnitude of each layer's weight."""
    only: tuple[str, ...] = ()
    """Patterns of node, output and operator names: nothing else is pruned."""
    skip: tuple[str, ...] = ()
    """Patterns of what stays as it is."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of weights that were changed."""
        if not self.below > 0:
            raise UsageError(f"prune/threshold: below is a positive number, not {self.below}")
        asked = Sparse(only=self.only, skip=self.skip, least=0)
        return sum(self._clip(model, context, asked))

    def _clip(self, model: ir.Model, context: Context, asked: Sparse) -> list[int]:
        changes = []
        for layer in asked.layers(model):
            rows = matrices.matrix(layer)
            magnitude = np.abs(rows)
            limit = self.below * (float(magnitude.max()) if self.relative else 1.0)
            changes.append(asked.store(layer, np.where(magnitude < limit, 0, rows), context))
        return changes
