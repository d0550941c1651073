"""Pairs of weights that x86 without VNNI multiplies and adds up together, in 16 bits."""

from __future__ import annotations

import dataclasses

import numpy as np

from onnxopt import graph
from onnxopt.kernels import IntegerKernels
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.quantization.granularity import Granularity, PerAxis, PerTensor
from onnxopt.quantization.params import Params, fit_array
from onnxopt.quantization.types import INT8, QuantType


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightForm:
    """How weights of layers are quantized, symmetric."""

    type: QuantType
    per_channel: bool
    """One scale for each output channel, not one for all."""
    portable: bool
    """No pair of weights overflows 16 bits, whatever uint8 it meets. Of int8 alone: nothing else is
    added in 16 bits."""

    @classmethod
    def of(
        cls,
        kind: QuantType,
        kernels: IntegerKernels | None,
        *,
        bits: int = 0,
        per_channel: bool,
        portable: bool,
    ) -> WeightForm:
        """Return what is asked for; without ``bits``, what the target needs where it saturates."""
        needed = kernels is not None and kernels.saturates and not bits
        return cls(
            type=kind.narrowed(bits) if bits else kind,
            per_channel=per_channel,
            portable=kind is INT8 and (portable or needed),
        )

    def params(self, layer: Layer) -> Params:
        """Return the parameters of a layer's weight.

        Portable ones have scales of at least a 127th of the largest sum of a pair of one sign:
        rounding makes that 128 at most, and 128 times 255 is within 16 bits. Between 7 and 8 bits
        are left.
        """
        granularity: Granularity = PerAxis(axis=layer.axis) if self.per_channel else PerTensor()
        weight = readers.contents(layer.weight)
        params = fit_array(weight, self.type, granularity, symmetric=True)
        if not self.portable or not paired(layer):
            return params
        least = _largest(layer) / INT8.reach
        if not self.per_channel:
            least = least.max(initial=0.0)
        scale = np.asarray(np.maximum(params.scale, least), np.float32)
        return dataclasses.replace(params, scale=scale)


def paired(layer: Layer) -> bool:
    """Return whether products of a layer are added two and two before they reach 32 bits.

    Those of a convolution of every channel alone, to one channel each, are added one by one.
    """
    outputs = readers.contents(layer.weight).shape[0]
    return not (layer.depthwise and outputs == graph.attr_int(layer.node, "group", 1))


def in_order(layer: Layer, rows: np.ndarray) -> np.ndarray:
    """Return rows [..., columns], as of ``matrices.matrix``, in the order that kernels take them.

    By the filter's place first, then by channel; the first is added to the second, the third to
    the fourth, and where their number is odd a zero to the last.
    """
    if layer.node.op_type == "Conv":
        rows = _by_place(layer, rows).reshape(rows.shape)
    return even(rows)


def even(rows: np.ndarray) -> np.ndarray:
    """Return rows with a zero behind them where their number of columns is odd."""
    odd = rows.shape[-1] % 2
    return np.pad(rows, [*[(0, 0)] * (rows.ndim - 1), (0, odd)]) if odd else rows


def _by_place(layer: Layer, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a convolution as [..., places, channels]."""
    places = int(np.prod(readers.contents(layer.weight).shape[2:]))
    return rows.reshape(*rows.shape[:-1], -1, places).swapaxes(-1, -2)


def _largest(layer: Layer) -> np.ndarray:
    """Return the largest sum of a pair of weights of one sign in each channel: [channels].

    Of an odd number of channels some kernels, such as OpenVINO's, pair those of each place apart,
    with a zero behind them: both ways count.
    """
    rows = matrices.matrix(layer)
    orders = [in_order(layer, rows)]
    if layer.node.op_type == "Conv":
        apart = even(_by_place(layer, rows))
        orders.append(apart.reshape(*rows.shape[:-1], -1))
    sums = [
        np.maximum(sign * order, 0).reshape(*rows.shape[:-1], -1, 2).sum(-1).max(-1, initial=0.0)
        for order in orders
        for sign in (1, -1)
    ]
    return np.asarray(np.max(sums, axis=0)).reshape(-1)
