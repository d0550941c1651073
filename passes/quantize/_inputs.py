"""What layers with constant weights multiply, as matrices, and products of those summed up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.passes.quantize import _layers
from onnxopt.passes.quantize._layers import Layer
from onnxopt.quantization.sketch import stride
from onnxopt.quantization.stream import stream

POSITIONS = 4096
"""Rows of a value that are looked at in each sample."""

ROOM = 256 << 20
"""Bytes of sums that are held at one time, where no single layer needs more."""


def matrix(layer: Layer) -> np.ndarray:
    """Return the weight as [groups, outputs, columns]: one row for each output channel."""
    return as_matrix(layer, _layers.contents(layer.weight))


def as_matrix(layer: Layer, weight: np.ndarray) -> np.ndarray:
    """Return what has the shape of a layer's weight as ``matrix`` does."""
    if layer.node.op_type == "Conv":
        groups = graph.attr_int(layer.node, "group", 1)
        return weight.reshape(groups, weight.shape[0] // groups, -1)
    return (weight if layer.axis == 0 else weight.T)[None]


def replace(layer: Layer, rows: np.ndarray) -> None:
    """Put a matrix [groups, outputs, columns] in the place of a layer's weight."""
    old = _layers.contents(layer.weight)
    flat = rows.reshape(-1, rows.shape[-1])
    new = flat.reshape(old.shape) if layer.axis == 0 else flat.T
    layer.weight.const_value = graph.tensor_of(np.ascontiguousarray(new, old.dtype))


def columns(layer: Layer, array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return what the rows of ``matrix`` are multiplied with: [groups, positions, columns].

    Of more than 4,096 positions only every k-th is taken, from a random one on.
    """
    if layer.node.op_type == "Conv":
        return _patches(layer, array, random)
    rows = array.reshape(-1, array.shape[-1])
    return _some(rows, random)[None]


def _some(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    step = stride(len(rows), POSITIONS)
    return rows[int(random.integers(step)) :: step] if step > 1 else rows


def _patches(layer: Layer, array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Cut out what the filter sees at some positions."""
    weight = _layers.contents(layer.weight)
    rank = weight.ndim - 2
    groups = graph.attr_int(layer.node, "group", 1)
    strides = graph.attr_ints(layer.node, "strides") or (1,) * rank
    dilations = graph.attr_ints(layer.node, "dilations") or (1,) * rank
    padded = np.pad(array, [(0, 0), (0, 0), *_pads(layer, array.shape[2:], strides, dilations)])
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    axes = tuple(range(2, 2 + rank))
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=axes)
    steps = tuple(slice(None, None, s) for s in strides)
    taps = tuple(slice(None, None, d) for d in dilations)
    windows = windows[(slice(None), slice(None), *steps, *taps)]
    places = np.indices((windows.shape[0], *windows.shape[2 : 2 + rank])).reshape(1 + rank, -1).T
    chosen = _some(places, random).T
    found = windows[(chosen[0], slice(None), *chosen[1:])]
    split = found.reshape(len(found), groups, -1)
    return np.moveaxis(split, 1, 0)


def _pads(
    layer: Layer, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the zeros before and behind along each axis, worked out where they are automatic."""
    kernel = _layers.contents(layer.weight).shape[2:]
    automatic = graph.attr_str(layer.node, "auto_pad", "NOTSET")
    rank = len(kernel)
    if not automatic.startswith("SAME"):
        given = graph.attr_ints(layer.node, "pads")
        if automatic == "VALID" or given is None:
            given = (0,) * (2 * rank)
        return list(zip(given[:rank], given[rank:], strict=True))
    found = []
    for size, width, step, spread in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((math.ceil(size / step) - 1) * step + (width - 1) * spread + 1 - size, 0)
        less, more = total // 2, total - total // 2
        found.append((less, more) if automatic == "SAME_UPPER" else (more, less))
    return found


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

        def look(value: ir.Value, array: np.ndarray, _: int) -> None:
            for way, layer in readers[value].items():
                seen = columns(layer, array, self._random).astype(np.float64)
                product = seen.transpose(0, 2, 1) @ seen
                self._sums[way] = self._sums[way] + product if way in self._sums else product

        stream(model, list(readers), context, look, "second moments")

    def of(self, layer: Layer) -> np.ndarray | None:
        """Return the sum of a layer; None where nothing was seen or something was not finite."""
        found = self._sums.get(_way(layer))
        return None if found is None or not np.isfinite(found).all() else found


def _way(layer: Layer) -> object:
    """Return what two layers have in common that multiply the same columns."""
    node = layer.node
    if node.op_type != "Conv":
        return layer.x
    shape = _layers.contents(layer.weight).shape[2:]
    names = ("group", "auto_pad")
    places = tuple(graph.attr_ints(node, name) for name in ("pads", "strides", "dilations"))
    known = [node.attributes.get(name) for name in names]
    return layer.x, shape, places, tuple(None if a is None else a.value for a in known)


def size(layer: Layer) -> int:
    """Return the bytes of the sum of a layer."""
    groups, _, width = matrix(layer).shape
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
