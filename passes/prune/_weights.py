"""Layers whose weights may become zero, and the one way to set them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.errors import UsageError
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize._plan import Choice
from onnxopt.sparsity.masks import Density


class Sparse(Pass):
    """What passes have in common that set weights of layers to zero."""

    lossless: ClassVar[bool] = False

    ratio: float = 0.5
    """The share of weights that go."""
    keep: int = 0
    """With ``of``: all but so many of every ``of`` neighbouring inputs go, whatever the ratio."""
    of: int = 0
    """2:4 is ``keep=2, of=4``, which some hardware multiplies at twice the speed."""
    least: int = 256
    """Weights of fewer elements stay."""
    only: tuple[str, ...] = ()
    """Patterns of node, output and operator names: nothing else is pruned."""
    skip: tuple[str, ...] = ()
    """Patterns of what stays as it is."""

    @property
    def density(self) -> Density:
        """Return how many weights go; raises UsageError where the options contradict."""
        return Density(ratio=self.ratio, keep=self.keep, of=self.of)

    def layers(self, model: ir.Model) -> list[Layer]:
        """Return the layers to prune, one for each weight; those that do not fit are left out.

        With ``of``, layers whose inputs (of a convolution: channels) are no multiple of it.
        """
        found = list(_chosen(model, self))
        if self.only and not found:
            names = ", ".join(f"'{name}'" for name in self.only)
            raise UsageError(f"{self.name}: no layer with weights to prune is called {names}")
        return found

    def store(self, layer: Layer, rows: np.ndarray, context: Context) -> int:
        """Put a matrix [groups, outputs, columns] in the place of a weight where it differs."""
        if np.array_equal(rows, matrices.matrix(layer)):
            return 0
        if not context.gate.permit(self.name, layer.weight.name or ""):
            return 0
        matrices.replace(layer, rows)
        return 1


def _chosen(model: ir.Model, asked: Sparse) -> Iterator[Layer]:
    choice, seen = Choice(only=asked.only, skip=asked.skip), set[ir.Value]()
    of = asked.density.of
    for node in model.graph:
        layer = readers.read(node) if choice.allows(node) else None
        if layer is None or layer.weight in seen or not _own(layer):
            continue
        seen.add(layer.weight)
        size = 0 if (held := graph.tensor(layer.weight)) is None else held.size
        if size >= asked.least and not (of and _neighbours(layer) % of):
            yield layer


def _own(layer: Layer) -> bool:
    """Return whether only layers like this one read a weight."""
    reads = (use.node for use in layer.weight.uses())
    return all(node.op_type == layer.node.op_type for node in reads)


def _taps(layer: Layer) -> int:
    shape = readers.contents(layer.weight).shape
    return int(np.prod(shape[2:])) if layer.node.op_type == "Conv" else 1


def _neighbours(layer: Layer) -> int:
    return int(matrices.matrix(layer).shape[-1]) // _taps(layer)


def arrangement(layer: Layer) -> np.ndarray:
    """Return the columns of a layer's matrix in the order in which inputs are neighbours.

    A convolution's are ordered by channel, then by tap; neighbours are channels at one tap.
    """
    width, taps = int(matrices.matrix(layer).shape[-1]), _taps(layer)
    return np.arange(width).reshape(width // taps, taps).T.reshape(-1)
