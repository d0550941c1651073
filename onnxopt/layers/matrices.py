"""Weights and inputs of layers as matrices: a row for each output channel or position."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.quantization.sketch import stride

POSITIONS = 4096
"""Rows of a value that are looked at in each sample."""


def matrix(layer: Layer) -> np.ndarray:
    """Return the weight as [groups, outputs, columns]: one row for each output channel."""
    return as_matrix(layer, readers.contents(layer.weight))


def as_matrix(layer: Layer, weight: np.ndarray) -> np.ndarray:
    """Return what has the shape of a layer's weight as ``matrix`` does."""
    if layer.node.op_type == "Conv":
        groups = graph.attr_int(layer.node, "group", 1)
        return weight.reshape(groups, weight.shape[0] // groups, -1)
    return (weight if layer.axis == 0 else weight.T)[None]


def replace(layer: Layer, rows: np.ndarray) -> None:
    """Put a matrix [groups, outputs, columns] in the place of a layer's weight."""
    held = graph.tensor_of(as_weight(layer, rows))
    maker = layer.weight.producer()
    if maker is not None:
        maker.attributes.clear()
        maker.attributes.add(ir.AttrTensor("value", held))
    layer.weight.const_value = held


def as_weight(layer: Layer, rows: np.ndarray) -> np.ndarray:
    """Return a matrix [groups, outputs, columns] as a layer stores its weight."""
    old = readers.contents(layer.weight)
    flat = rows.reshape(-1, rows.shape[-1])
    new = flat.reshape(old.shape) if layer.axis == 0 else flat.T
    return np.ascontiguousarray(new, old.dtype)


def columns(layer: Layer, array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return what the rows of ``matrix`` are multiplied with: [groups, positions, columns].

    Of more than 4,096 positions only every k-th is taken, from a random one on.
    """
    if layer.node.op_type != "Conv":
        return _some(array.reshape(-1, array.shape[-1]), random)[None]
    windows = _windows(layer, array)
    rank = readers.contents(layer.weight).ndim - 2
    every = np.indices((windows.shape[0], *windows.shape[2 : 2 + rank])).reshape(1 + rank, -1).T
    return _cut(layer, windows, _some(every, random).T)


def _some(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    step = stride(len(rows), POSITIONS)
    return rows[int(random.integers(step)) :: step] if step > 1 else rows


def places(layer: Layer, array: np.ndarray, each: int, random: np.random.Generator) -> np.ndarray:
    """Choose positions of the output that a layer makes of an input: [axes, positions].

    Of a convolution, ``each`` in every image, by image and place; of other products, ``each`` rows
    in every entry of the first axis, by row. All where there are no more.
    """
    if layer.node.op_type != "Conv":
        count = math.prod(array.shape[:-1])
        wanted = each * (array.shape[0] if array.ndim > 2 else count)
        if count <= wanted:
            return np.arange(count)[None]
        return random.choice(count, wanted, replace=False)[None]
    windows = _windows(layer, array)
    grid = windows.shape[2 : 2 + (windows.ndim - 2) // 2]
    inner = math.prod(grid)
    wanted = min(each, inner)
    flat = random.random((len(array), inner)).argpartition(wanted - 1, axis=1)[:, :wanted]
    image = np.repeat(np.arange(len(array)), wanted)
    return np.stack([image, *np.unravel_index(flat.reshape(-1), grid)])


def every(layer: Layer, array: np.ndarray) -> np.ndarray:
    """Return all positions of what a convolution makes of an input: [axes, positions]."""
    windows = _windows(layer, array)
    grid = windows.shape[2 : 2 + (windows.ndim - 2) // 2]
    return np.indices((len(array), *grid)).reshape(1 + len(grid), -1)


def each_of(layer: Layer, images: int, rows: int, at_most: int) -> int:
    """Return how many places of each image make up so many rows for each column of a layer."""
    wanted = rows * matrix(layer).shape[-1]
    return int(min(max(-(-wanted // max(images, 1)), 2), at_most))


def columns_at(layer: Layer, array: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return what the rows of ``matrix`` meet there: [groups, positions, columns]."""
    if layer.node.op_type != "Conv":
        return np.asarray(array.reshape(-1, array.shape[-1])[where[0]][None])
    return _cut(layer, _windows(layer, array), where)


def outputs_at(layer: Layer, array: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return what a layer computes there: [groups, positions, outputs of a group]."""
    if layer.node.op_type != "Conv":
        return np.asarray(array.reshape(-1, array.shape[-1])[where[0]][None])
    found = array[(where[0], slice(None), *where[1:])]
    groups = graph.attr_int(layer.node, "group", 1)
    return np.moveaxis(found.reshape(len(found), groups, -1), 1, 0)


def _windows(layer: Layer, array: np.ndarray) -> np.ndarray:
    """Show what the filter sees at every position: [images, channels, *positions, *taps]."""
    weight = readers.contents(layer.weight)
    rank = weight.ndim - 2
    strides = graph.attr_ints(layer.node, "strides") or (1,) * rank
    dilations = graph.attr_ints(layer.node, "dilations") or (1,) * rank
    padded = np.pad(array, [(0, 0), (0, 0), *_pads(layer, array.shape[2:], strides, dilations)])
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    axes = tuple(range(2, 2 + rank))
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=axes)
    steps = tuple(slice(None, None, s) for s in strides)
    taps = tuple(slice(None, None, d) for d in dilations)
    return np.asarray(windows[(slice(None), slice(None), *steps, *taps)])


def _cut(layer: Layer, windows: np.ndarray, where: np.ndarray) -> np.ndarray:
    found = windows[(where[0], slice(None), *where[1:])]
    groups = graph.attr_int(layer.node, "group", 1)
    return np.moveaxis(found.reshape(len(found), groups, -1), 1, 0)


def _pads(
    layer: Layer, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the zeros before and behind along each axis, worked out where they are automatic."""
    kernel = readers.contents(layer.weight).shape[2:]
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
