"""Move what is difficult to quantize from activations into weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.passes.quantize import _channels, _seams
from onnxopt.passes.quantize._channels import Seam, Weights
from onnxopt.quantization.stream import stream


class Smooth(Pass):
    """Divide the channels of activations by factors, and multiply the weights that read them.

    ``s = max|x|^strength / max|w|^(1 - strength)`` for each channel, of the activation x on the
    samples and of the weights w that read it; the division goes into the norm or layer that makes
    the channel. Channels with outliers then need no range of their own. Source: Xiao et al.,
    SmoothQuant, 2022.
    """

    needs_samples: ClassVar[bool] = True

    strength: float = 0.5
    """How much of the range moves into the weights: 0 none, 1 all of it."""
    layers: bool = False
    """Also where a layer makes the channels, not a norm."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of activations that were divided."""
        found = [seam for seam in _seams.seams(model) if self.layers or not seam.linear]
        if not found:
            return 0
        seen = _extents(model, found, context)
        weights = Weights(model)
        changes = 0
        for seam, extents in zip(found, seen, strict=True):
            by = self._factors(extents, _weight_extents(seam, weights))
            if not _channels.slight(by) and context.gate.permit(self.name, seam.name):
                weights.move(seam, by)
                changes += 1
        weights.store()
        return changes

    def _factors(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
        by = np.ones(len(activations))
        live = (activations > 0) & (weights > 0) & np.isfinite(activations)
        by[live] = activations[live] ** self.strength / weights[live] ** (1 - self.strength)
        return _channels.bounded(by)


def _extents(model: ir.Model, found: Sequence[Seam], context: Context) -> list[np.ndarray]:
    """Return the largest magnitude of each channel of what the readers of each seam read."""
    seen = [np.zeros(seam.channels) for seam in found]
    watched: dict[ir.Value, list[int]] = {}
    for at, seam in enumerate(found):
        watched.setdefault(seam.readers[0][0].x, []).append(at)

    def look(value: ir.Value, array: np.ndarray, _: str) -> None:
        for at in watched[value]:
            layer, part = found[at].readers[0]
            rows = _channels.channels_of(layer, part, array)
            if len(rows):
                seen[at] = np.maximum(seen[at], np.maximum(rows.max(axis=0), -rows.min(axis=0)))

    stream(model, list(watched), context, look, "extents of channels")
    return seen


def _weight_extents(seam: Seam, weights: Weights) -> np.ndarray:
    return np.asarray(np.max([part.extents(weights.of(part)) for _, part in seam.readers], axis=0))
