"""Factors for each channel, moved from the weights that read it into those that make it.

For a positively homogeneous f, ``f(x / s) = f(x) / s``, so that with any positive diagonal S
``W2 f(W1 x + b) = (W2 S) f(S^-1 (W1 x + b))``.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.quantization import ranges

_FARTHEST = 1e4
"""Larger factors, and smaller than one over it, would only bring weights near overflow."""

SLIGHT = 0.01
"""Factors as near to 1 as this are not worth moving."""


def slight(by: np.ndarray) -> bool:
    """Return whether no factor is worth moving."""
    return bool(np.abs(np.log(by)).max(initial=0.0) < SLIGHT)


def bounded(by: np.ndarray) -> np.ndarray:
    """Return factors none of which brings a weight near overflow."""
    return np.asarray(np.clip(by, 1 / _FARTHEST, _FARTHEST))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A constant that has a factor for each channel: seen in the shape ``view``, along ``factor``.

    ``factor`` has the rank of ``view`` and ones where the factors repeat.
    """

    node: ir.Node
    index: int
    view: tuple[int, ...]
    factor: tuple[int, ...]

    @property
    def value(self) -> ir.Value:
        """Return the constant."""
        found = self.node.inputs[self.index]
        assert found is not None
        return found

    def extents(self, array: np.ndarray) -> np.ndarray:
        """Return the largest magnitude of each channel: [channels]."""
        rest = tuple(axis for axis, size in enumerate(self.factor) if size == 1)
        return np.asarray(np.abs(array.reshape(self.view)).max(axis=rest)).reshape(-1)

    def scaled(self, array: np.ndarray, by: np.ndarray) -> np.ndarray:
        """Return the constant with each channel multiplied by its factor."""
        return np.asarray((array.reshape(self.view) * by.reshape(self.factor)).reshape(array.shape))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seam:
    """Channels that some constants make and others read; nobody else sees them."""

    channels: int
    makers: tuple[Part, ...]
    """Divided by the factors; the first is the weight."""
    readers: tuple[tuple[Layer, Part], ...]
    """Multiplied by them."""
    values: tuple[ir.Value, ...]
    """What lies between, in the order of the graph."""

    linear: bool
    """A layer makes them, not a norm."""

    @property
    def name(self) -> str:
        """Return the name of the value that is made."""
        return self.values[0].name or ""


def channels_of(layer: Layer, part: Part, array: np.ndarray) -> np.ndarray:
    """Return what a layer reads as [elements, channels]."""
    if layer.node.op_type == "Conv":
        return np.moveaxis(array, 1, -1).reshape(-1, array.shape[1])
    channels = math.prod(part.factor)
    split = array.reshape(-1, channels, array.shape[-1] // channels)
    return np.moveaxis(split, 1, -1).reshape(-1, channels)


class Weights:
    """The constants of seams, multiplied and divided in float64 and rounded once at the end."""

    def __init__(self, model: ir.Model) -> None:
        self._home = model.graph
        self._names = graph.Names(model)
        self._arrays: dict[tuple[ir.Node, int], np.ndarray] = {}
        self._moved: list[ir.Value] = []

    def of(self, part: Part) -> np.ndarray:
        """Return a constant as it stands."""
        key = part.node, part.index
        if key not in self._arrays:
            return readers.contents(part.value).astype(np.float64)
        return self._arrays[key]

    def move(self, seam: Seam, by: np.ndarray) -> None:
        """Multiply the readers of a seam by some factors and divide its makers by them."""
        for part in seam.makers:
            self._arrays[part.node, part.index] = part.scaled(self.of(part), 1 / by)
        for _, part in seam.readers:
            self._arrays[part.node, part.index] = part.scaled(self.of(part), by)
        self._moved += seam.values

    def store(self) -> None:
        """Put the constants into the graph, and forget the ranges that held before."""
        for value in self._moved:
            value.metadata_props.pop(ranges.KEY, None)
        for (node, index), array in self._arrays.items():
            old = node.inputs[index]
            assert old is not None
            made = graph.constant(array.astype(np.float32), self._names.fresh(f"{old.name}_scaled"))
            self._home.register_initializer(made)
            node.replace_input_with(index, made)
            if not graph.used(old) and old.is_initializer() and not old.is_graph_input():
                del self._home.initializers[old.name or ""]
