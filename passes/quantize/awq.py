"""Scale weights up where the activations are large, so that rounding them costs less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.layers import matrices
from onnxopt.passes.quantize import _channels, _inputs, _seams
from onnxopt.passes.quantize._channels import Seam, Weights
from onnxopt.passes.quantize._inputs import Grams
from onnxopt.quantization import rounding, types
from onnxopt.quantization.params import fit_array, rounded
from onnxopt.quantization.types import TypeName


class Awq(Pass):
    """Multiply the columns of weights by factors, and divide what makes their inputs by them.

    ``s = m^a`` for each channel, m the root mean square of the activation on the samples; of 20
    powers a from 0 to 1 the one with which the layers that read it lose least on the samples when
    their weights, ``W S``, are rounded to the type. Weights that meet large activations are then
    rounded more finely. Source: Lin et al., AWQ, 2023.
    """

    idempotent: ClassVar[bool] = False
    needs_samples: ClassVar[bool] = True

    type: TypeName = "uint4"
    symmetric: bool = False
    block: int = 32
    """Neighbouring inputs that share a scale; 0 is one scale for each output channel."""
    steps: int = 20
    """Powers that are tried."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of activations that were divided."""
        found = list(_products(model))
        weights = Weights(model)
        changes = 0
        for chosen in _inputs.batches(map(_room, found)):
            batch = found[chosen.start : chosen.stop]
            layers = [layer for seam in batch for layer, _ in seam.readers]
            grams = Grams(model, layers, context)
            for seam in batch:
                by = self._factors(seam, grams, weights)
                if not _channels.slight(by) and context.gate.permit(self.name, seam.name):
                    weights.move(seam, by)
                    changes += 1
        weights.store()
        return changes

    def _factors(self, seam: Seam, grams: Grams, weights: Weights) -> np.ndarray:
        """Return the factors with the least loss; ones where nothing is gained."""
        problems = [
            (rows, gram[0])
            for layer, part in seam.readers
            if (gram := grams.of(layer)) is not None
            for rows in [_rows(weights.of(part), layer.axis)]
        ]
        best = np.ones(seam.channels)
        if not problems:
            return best
        mean = np.sqrt(np.diag(problems[0][1]))
        if not mean.all():
            mean = np.maximum(mean, mean.max() * 1e-4) if mean.any() else best
        least = self._loss(problems, best)
        for power in np.linspace(0, 1, self.steps + 1)[1:]:
            raw = mean**power
            by = _channels.bounded(raw / np.sqrt(raw.max() * raw.min()))
            loss = self._loss(problems, by)
            if loss < least:
                least, best = loss, by
        return best

    def _loss(self, problems: Sequence[tuple[np.ndarray, np.ndarray]], by: np.ndarray) -> float:
        """Return the squared error of what the layers compute, summed over the samples."""
        kind, granularity = types.named(self.type), rounding.per_row(self.block)
        total = 0.0
        for weight, gram in problems:
            scaled = (weight * by).astype(np.float32)
            params = fit_array(scaled, kind, granularity, symmetric=self.symmetric)
            lost = rounded(scaled, params) / by - weight
            total += float(((lost @ gram) * lost).sum())
        return total


def _products(model: ir.Model) -> Iterator[Seam]:
    """Yield the seams whose readers are products with matrices, a column for each channel."""
    for seam in _seams.seams(model):
        plain = all(
            layer.node.op_type != "Conv" and matrices.matrix(layer).shape[-1] == seam.channels
            for layer, _ in seam.readers
        )
        if plain:
            yield seam


def _room(seam: Seam) -> int:
    return _inputs.size(seam.readers[0][0])


def _rows(weight: np.ndarray, axis: int) -> np.ndarray:
    return weight if axis == 0 else weight.T
