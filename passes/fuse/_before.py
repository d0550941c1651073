"""A factor and a shift of a layer's input channels, moved into its weights.

``W·(k x + t) + b = (W k)·x + (W·t + b)``, where W·t sums over all that the filter covers.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse._affine import Layer
from onnxopt.rewrite import Builder


def channels(layer: Layer) -> int:
    """Return how many channels the layer's input has."""
    return int(np.prod(_wide(layer).shape[:2]))


def padded(node: ir.Node) -> bool:
    """Return whether a convolution reads zeros beside its input."""
    if graph.attr_str(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return True
    return any(graph.attr_ints(node, "pads") or ())


def apply(
    op: Builder, layer: Layer, x: ir.Value, factor: np.ndarray, shift: np.ndarray | None
) -> ir.Value:
    """Build the layer over x that equals the layer over ``factor * x + shift``."""
    wide = _wide(layer)
    groups, inner = wide.shape[:2]
    scaled = wide * factor.reshape(groups, inner, 1, 1)
    weight = layer.store(op, _narrow(layer, scaled))
    bias = layer.bias
    if shift is not None and shift.any():
        alpha = graph.attr_float(layer.node, "alpha", 1.0) if layer.node.op_type == "Gemm" else 1.0
        summed = alpha * (wide * shift.reshape(groups, inner, 1, 1)).sum(axis=(1, 3)).reshape(-1)
        bias = summed if bias is None else bias + summed
    return layer.build(op, x, weight, bias)


def _wide(layer: Layer) -> np.ndarray:
    """Return the weight as float64 [groups, inputs of a group, outputs of a group, places]."""
    weight = layer.weight.astype(np.float64)
    if layer.node.op_type == "Conv":
        groups = graph.attr_int(layer.node, "group", 1)
        split = weight.reshape(groups, -1, weight.shape[1], int(np.prod(weight.shape[2:])))
        return split.transpose(0, 2, 1, 3)
    if layer.node.op_type == "Gemm" and graph.attr_int(layer.node, "transB", 0):
        weight = weight.T
    return weight[None, :, :, None]


def _narrow(layer: Layer, wide: np.ndarray) -> np.ndarray:
    """Return a wide weight in the layout that the layer's node has."""
    if layer.node.op_type == "Conv":
        return wide.transpose(0, 2, 1, 3).reshape(layer.weight.shape)
    weight = wide[0, :, :, 0]
    return weight.T if graph.attr_int(layer.node, "transB", 0) else weight
