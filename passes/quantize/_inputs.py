"""Products of what layers with constant weights multiply, summed up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.quantization.stream import stream

ROOM = 256 << 20
"""Bytes of sums that are held at one time, where no single layer needs more."""


class Grams:
    """``X^T X`` of the inputs of layers, summed in float64: [groups, columns, columns].

    Layers that multiply the same value in the same way share one sum.
    """

    def __init__(self, model: ir.Model, layers: Sequence[Layer], context: Context) -> None:
        self._sums: dict[object, np.ndarray] = {}
        self._random = np.random.default_rng(context.seed)
        readers: dict[ir.Value, dict[object, Layer]] = {}
        for layer in layers:
            readers.setdefault(layer.x, {}).setdefault(_way(layer), layer)

        def look(value: ir.Value, array: np.ndarray, _: str) -> None:
            for way, layer in readers[value].items():
                seen = matrices.columns(layer, array, self._random)
                product = self._product(seen.astype(np.float64))
                self._sums[way] = self._sums[way] + product if way in self._sums else product

        stream(model, list(readers), context, look, "second moments")

    def _product(self, seen: np.ndarray) -> np.ndarray:
        return np.asarray(seen.transpose(0, 2, 1) @ seen)

    def of(self, layer: Layer) -> np.ndarray | None:
        """Return the sum of a layer; None where nothing was seen or something was not finite."""
        found = self._sums.get(_way(layer))
        return None if found is None or not np.isfinite(found).all() else found


class Powers(Grams):
    """The diagonals of those sums, without the rest of them: [groups, columns]."""

    def _product(self, seen: np.ndarray) -> np.ndarray:
        return np.asarray((seen**2).sum(axis=1))


def _way(layer: Layer) -> object:
    """Return what two layers have in common that multiply the same columns."""
    node = layer.node
    if node.op_type != "Conv":
        return layer.x
    shape = readers.contents(layer.weight).shape[2:]
    names = ("group", "auto_pad")
    places = tuple(graph.attr_ints(node, name) for name in ("pads", "strides", "dilations"))
    known = [node.attributes.get(name) for name in names]
    return layer.x, shape, places, tuple(None if a is None else a.value for a in known)


def size(layer: Layer) -> int:
    """Return the bytes of the sum of a layer."""
    groups, _, width = matrices.matrix(layer).shape
    return int(groups * width * width * 8)


def batches(sizes: Iterable[int]) -> list[range]:
    """Split things whose sums take so many bytes, in order, into runs that fit into memory."""
    found: list[range] = []
    room = 0
    for at, need in enumerate(sizes):
        if not found or need > room:
            found.append(range(at, at))
            room = ROOM
        found[-1] = range(found[-1].start, at + 1)
        room -= need
    return found
