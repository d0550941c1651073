"""Equalize the ranges of weights across layers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.passes.quantize import _channels, _seams
from onnxopt.passes.quantize._channels import Seam, Weights

_SWEEPS = 200


class Equalize(Pass):
    """Give the weights that make a channel and those that read it the same range.

    ``W2 f(W1 x + b) = (W2 S) f(S^-1 (W1 x + b))`` for a positively homogeneous f (Relu, LeakyRelu,
    pooling, …) and positive S; ``s = sqrt(r1 r2) / r2`` of the ranges r1 of a row of W1 and r2 of a
    column of W2 makes both ``sqrt(r1 r2)``. Repeated until nothing moves. One scale for a whole
    weight then fits every channel. Source: Nagel et al., Data-Free Quantization, 2019.
    """

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of places between layers at which ranges were equalized."""
        found = [seam for seam in _seams.seams(model) if seam.linear]
        factors = _factors(model, found)
        weights = Weights(model)
        changes = 0
        for seam, by in zip(found, factors, strict=True):
            if not _channels.slight(by) and context.gate.permit(self.name, seam.name):
                weights.move(seam, by)
                changes += 1
        weights.store()
        return changes


def _factors(model: ir.Model, found: list[Seam]) -> list[np.ndarray]:
    """Return the factors of each seam at which no sweep over all of them moves anything."""
    weights = Weights(model)
    total = [np.ones(seam.channels) for seam in found]
    for _ in range(_SWEEPS):
        moved = 0.0
        for at, seam in enumerate(found):
            by = _balance(seam, weights)
            moved = max(moved, float(np.abs(np.log(by)).max(initial=0.0)))
            weights.move(seam, by)
            total[at] *= by
        if moved < _channels.SLIGHT / 10:
            break
    return [_channels.bounded(by) for by in total]


def _balance(seam: Seam, weights: Weights) -> np.ndarray:
    makes = seam.makers[0].extents(weights.of(seam.makers[0]))
    reads = np.max([part.extents(weights.of(part)) for _, part in seam.readers], axis=0)
    by = np.ones(seam.channels)
    live = (makes > 0) & (reads > 0)
    by[live] = np.sqrt(makes[live] / reads[live])
    return by
