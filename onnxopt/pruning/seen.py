"""What a layer of a pruned model reads, and what it should compute of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.pruning.frontier import Live, rest
from onnxopt.pruning.moments import Moments
from onnxopt.pruning.refit import Affine

POSITIONS, ROWS = 32, 100
"""Places that are looked at: of each image at most, and for every column of a layer."""


class Seen:
    """What a layer reads in the pruned model and should compute, at the same places every time.

    Where a shortcut is added, which ``beside`` names in the whole and the pruned model, the sum of
    the whole model less the pruned model's shortcut is wanted.
    """

    def __init__(
        self,
        layer: Layer,
        twin: Layer,
        beside: tuple[ir.Value, ir.Value] | None,
        whole: Sequence[Live],
        thin: Sequence[Live],
        random: np.random.Generator,
    ) -> None:
        self._layer, self._twin = layer, twin
        self._live = list(zip(whole, thin, strict=True))
        self._beside = beside if beside is not None and self._known(*beside) else None
        images = sum(len(other[id(twin.x)]) for other in thin)
        each = matrices.each_of(twin, images, ROWS, POSITIONS)
        self._where = [matrices.places(twin, other[id(twin.x)], each, random) for other in thin]

    @property
    def summed(self) -> bool:
        """Whether what is added to the layer's output is known, and so is the sum."""
        return self._beside is not None or readers.shortcut(self._layer) is None

    def moments(self) -> tuple[Moments, Moments]:
        """Return the moments of what is read, and of what the original computes of it, in halves.

        Every other sample is in the second; of a single one, every other place.
        """
        groups, outputs, columns = matrices.matrix(self._layer).shape
        halves = Moments(groups, columns, outputs), Moments(groups, columns, outputs)
        for at, (x, target, _) in enumerate(self._rows()):
            if len(self._live) > 1:
                halves[at % 2].add(x, target)
            else:
                for start, half in enumerate(halves):
                    half.add(x[:, start::2], target[:, start::2])
        return halves

    def rectified(self, moments: Moments, fitted: Affine, bounds: tuple[float, float]) -> Moments:
        """Ask for nothing where both lie beyond a bound, for the bound where only the wanted does.

        What comes after a Relu or Clip is then what is fitted (Zhang et al., Accelerating Very Deep
        Convolutional Networks, 2015, solve the same by turns).
        """
        found = moments.unwanted()
        weight, bias = fitted
        for x, target, beside in self._rows():
            now = x @ weight.transpose(0, 2, 1) + bias[:, None, :]
            total = target + beside
            free = np.where(total < bounds[0], np.minimum(now, bounds[0] - beside), target)
            free = np.where(total > bounds[1], np.maximum(now, bounds[1] - beside), free)
            found.want(x, free)
        return found

    def _known(self, mine: ir.Value, theirs: ir.Value) -> bool:
        """Return whether both models hold a shortcut that is shaped as the layer's output."""
        return all(
            id(mine) in one
            and id(theirs) in other
            and one[id(mine)].shape == one[id(self._layer.output)].shape
            for one, other in self._live
        )

    def _rows(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | float]]:
        """Yield what is read, what is wanted, and what the pruned shortcut adds to it."""
        layer = self._layer
        for (one, other), where in zip(self._live, self._where, strict=True):
            target = matrices.outputs_at(layer, one[id(layer.output)], where)
            beside: np.ndarray | float = 0.0
            if self._beside is not None:
                mine, theirs = one[id(self._beside[0])], other[id(self._beside[1])]
                beside = matrices.outputs_at(layer, theirs, where)
                target = target + (matrices.outputs_at(layer, mine, where) - beside)
            yield matrices.columns_at(self._twin, other[id(self._twin.x)], where), target, beside
            rest([*one.values(), *other.values()])
