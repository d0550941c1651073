"""Pairs of weights that x86 without VNNI multiplies and adds up together, in 16 bits."""

from __future__ import annotations

import dataclasses

import numpy as np

from onnxopt import graph
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.quantization.granularity import Granularity, PerAxis, PerTensor
from onnxopt.quantization.params import Params, fit_array
from onnxopt.quantization.types import QuantType

_MOST = 127
"""What two weights of one sign may sum up to before rounding. That makes it 128 at most, and 128
times 255 is within 16 bits."""


def paired(layer: Layer) -> bool:
    """Return whether products of a layer are added two and two before they reach 32 bits.

    Those of a convolution of every channel alone, to one channel each, are added one by one.
    """
    single = layer.depthwise and readers.contents(layer.weight).shape[0] == _groups(layer)
    return not single


def _groups(layer: Layer) -> int:
    return graph.attr_int(layer.node, "group", 1)


def in_order(layer: Layer, rows: np.ndarray) -> np.ndarray:
    """Return rows [..., columns], as of ``matrices.matrix``, in the order that kernels take them.

    By the filter's place first, then by channel; the first is added to the second, the third to
    the fourth, and where their number is odd a zero to the last.
    """
    if layer.node.op_type == "Conv":
        rows = _by_place(layer, rows).reshape(rows.shape)
    return _even(rows)


def _by_place(layer: Layer, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a convolution as [..., places, channels]."""
    places = int(np.prod(readers.contents(layer.weight).shape[2:]))
    return rows.reshape(*rows.shape[:-1], -1, places).swapaxes(-1, -2)


def _even(rows: np.ndarray) -> np.ndarray:
    odd = rows.shape[-1] % 2
    return np.pad(rows, [*[(0, 0)] * (rows.ndim - 1), (0, odd)]) if odd else rows


def weight_params(layer: Layer, kind: QuantType, *, per_channel: bool, portable: bool) -> Params:
    """Return symmetric parameters for a layer's weight, one scale a channel or one for all.

    Where they are to be ``portable``, scales are so coarse that no pair of weights overflows 16
    bits, whatever uint8 it meets. Between 7 and 8 bits are left of the weights.
    """
    granularity: Granularity = PerAxis(axis=layer.axis) if per_channel else PerTensor()
    params = fit_array(readers.contents(layer.weight), kind, granularity, symmetric=True)
    if not portable or not paired(layer):
        return params
    least = _largest(layer) / _MOST
    if not per_channel:
        least = least.max(initial=0.0)
    scale = np.asarray(np.maximum(params.scale, least), np.float32)
    return dataclasses.replace(params, scale=scale)


def _largest(layer: Layer) -> np.ndarray:
    """Return the largest sum of a pair of weights of one sign in each channel: [channels].

    Of an odd number of channels some kernels, such as OpenVINO's, pair those of each place apart,
    with a zero behind them: both ways count.
    """
    rows = matrices.matrix(layer)
    orders = [in_order(layer, rows)]
    if layer.node.op_type == "Conv":
        apart = _even(_by_place(layer, rows))
        orders.append(apart.reshape(*rows.shape[:-1], -1))
    sums = [
        np.maximum(sign * order, 0).reshape(*rows.shape[:-1], -1, 2).sum(-1).max(-1, initial=0.0)
        for order in orders
        for sign in (1, -1)
    ]
    return np.asarray(np.max(sums, axis=0)).reshape(-1)
