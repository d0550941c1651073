"""Layers that are affine in their input, and how a scale and a shift move into their weights.

A layer computes, for every output channel c, ``y_c = W_c · x + b_c``. So a factor and a summand per
output channel move into W and b, ``k_c * y_c + t_c = (k_c W_c) · x + (k_c b_c + t_c)``, and so does
a factor per input channel. Products are taken in float64 and rounded once.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import FLOATS
from onnxopt.rewrite import Builder, Decline

LARGE = 1 << 20
"""Bytes above which a constant that others read too is not stored a second time."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A Conv, ConvTranspose, Gemm or MatMul with constant weights.

    ``weight`` has the node's own layout, ``bias`` one number a channel or None; ``rank`` and
    ``axis`` are those of the output and of its channels.
    """

    node: ir.Node
    weight: np.ndarray
    bias: np.ndarray | None
    channels: int
    rank: int
    axis: int

    def scaled(self, factor: np.ndarray) -> np.ndarray:
        """Return the weight for an output that is multiplied by one factor a channel."""
        weight = self.weight
        match self.node.op_type:
            case "Conv":
                return _times(weight, along(factor, weight.ndim, 0))
            case "ConvTranspose":
                groups = graph.attr_int(self.node, "group", 1)
                split = weight.reshape(groups, -1, *weight.shape[1:])
                shape = (groups, 1, weight.shape[1], *(1,) * (weight.ndim - 2))
                return _times(split, factor.reshape(shape)).reshape(weight.shape)
            case "Gemm" if graph.attr_int(self.node, "transB", 0):
                return _times(weight, factor[:, None])
            case _:
                return _times(weight, factor)

    def apply(self, op: Builder, factor: np.ndarray | None, shift: np.ndarray | None) -> ir.Value:
        """Build the layer whose output is ``factor * y + shift``, one number a channel each."""
        weight = self.node.inputs[1] if factor is None else self.store(op, self.scaled(factor))
        bias = self.bias
        if bias is not None and factor is not None:
            bias = bias * factor
        if shift is not None:
            bias = shift if bias is None else bias + shift
        return self.build(op, self.node.inputs[0], weight, bias)

    def build(
        self, op: Builder, x: ir.Value | None, weight: ir.Value | None, bias: np.ndarray | None
    ) -> ir.Value:
        """Build the layer with another input, weight and bias."""
        stored = None if bias is None else op.constant(rounded(bias, self.weight.dtype))
        if self.node.op_type == "MatMul":
            product = op.MatMul(x, weight)
            return product if stored is None else op.Add(product, stored)
        if self.node.op_type == "Gemm":
            kept = {name: self.node.attributes.get(name) for name in ("alpha", "transA", "transB")}
            return op.Gemm(x, weight, stored, **kept)
        return op.copy(self.node, [x, weight, *([] if stored is None else [stored])])

    def store(self, op: Builder, weight: np.ndarray) -> ir.Value:
        """Store a new weight; Decline where others keep a large old one alive."""
        old = self.node.inputs[1]
        if old is not None and len(old.uses()) > 1 and self.weight.nbytes > LARGE:
            raise Decline("the weight is large and others read it too")
        return op.constant(rounded(weight, self.weight.dtype))


def read(node: ir.Node) -> Layer:
    """Return the layer that a node is; Decline where it is none or its weights may vary."""
    weight = floats(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    match node.op_type:
        case "Conv":
            return _convolution(node, weight, bias, weight.shape[0])
        case "ConvTranspose":
            channels = weight.shape[1] * graph.attr_int(node, "group", 1)
            return _convolution(node, weight, bias, channels)
        case "Gemm":
            return _gemm(node, weight, bias)
        case "MatMul":
            rank = graph.rank(node.inputs[0])
            if weight.ndim != 2 or rank == 1:
                raise Decline("not a product with a matrix")
            least = rank or 1  # of an unknown rank no more is certain
            return Layer(node, weight, None, weight.shape[1], least, least - 1)
        case _:
            raise Decline("not an affine layer")


def _convolution(node: ir.Node, weight: np.ndarray, bias: ir.Value | None, channels: int) -> Layer:
    if weight.ndim < 3:
        raise Decline("a filter without spatial dimensions")
    numbers = None if bias is None else floats(bias).astype(np.float64)
    if numbers is not None and numbers.shape != (channels,):
        raise Decline("the bias does not fit the filter")
    return Layer(node, weight, numbers, channels, weight.ndim, 1)


def _gemm(node: ir.Node, weight: np.ndarray, bias: ir.Value | None) -> Layer:
    if weight.ndim != 2:
        raise Decline("the weight is no matrix")
    channels = weight.shape[0] if graph.attr_int(node, "transB", 0) else weight.shape[1]
    numbers = None
    if bias is not None:
        beta = graph.attr_float(node, "beta", 1.0)
        numbers = beta * per_channel(bias, channels, rank=2, axis=1)
    return Layer(node, weight, numbers, channels, 2, 1)


def floats(value: ir.Value | None) -> np.ndarray:
    """Return a constant of floating-point numbers; Decline anything else."""
    found = graph.tensor(value)
    if found is None or found.dtype not in FLOATS:
        raise Decline("not a constant of floating-point numbers")
    return found.numpy()


def per_channel(value: ir.Value | None, channels: int, *, rank: int, axis: int) -> np.ndarray:
    """Return a constant as one float64 a channel of an output with this rank and channel axis.

    Declines one that varies along another axis or would enlarge the output.
    """
    found = graph.tensor(value)
    shape = None if found is None else tuple(found.shape.numpy())
    if shape is None or len(shape) > rank:
        raise Decline("not a constant of at most the output's rank")
    full = (1,) * (rank - len(shape)) + shape
    if any(d != 1 for place, d in enumerate(full) if place != axis):
        raise Decline("the constant varies along another axis than the channels")
    if full[axis] not in (1, channels):
        raise Decline("the constant does not fit the channels")
    numbers = floats(value).astype(np.float64).reshape(-1)
    return np.broadcast_to(numbers, (channels,))


def normalization(node: ir.Node, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return factor and shift of a BatchNormalization in inference.

    ``y = scale * (x - mean) / sqrt(var + epsilon) + bias``, one number of each a channel.
    """
    if len(node.outputs) > 1 or graph.attr_int(node, "training_mode", 0):
        raise Decline("normalizes by the batch")
    if graph.attr_int(node, "spatial", 1) == 0:
        raise Decline("normalizes each activation on its own")
    scale, bias, mean, variance = (floats(v).astype(np.float64) for v in node.inputs[1:5])
    if any(numbers.shape != (channels,) for numbers in (scale, bias, mean, variance)):
        raise Decline("the statistics do not fit the channels")
    with np.errstate(all="ignore"):  # what comes of a negative variance, rounded() declines
        factor = scale / np.sqrt(variance + graph.attr_float(node, "epsilon", 1e-5))
        return factor, bias - mean * factor


def along(numbers: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Return a vector as an array of this rank that extends along one axis."""
    return numbers.reshape((1,) * axis + (-1,) + (1,) * (rank - axis - 1))


def rounded(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round to a type; Decline numbers that it does not hold."""
    with np.errstate(over="ignore"):
        found = numbers.astype(dtype)
    if not np.isfinite(found).all():
        raise Decline("the result overflows")
    return found


def _times(weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
    product: np.ndarray = np.multiply(weight, factor, dtype=np.float64)
    return product


def producer(value: ir.Value) -> ir.Node:
    """Return the node that makes a value of a match."""
    node = value.producer()
    if node is None:
        raise Decline("no node makes the value")
    return node
