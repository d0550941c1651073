"""A constant factor after a layer, into its weights."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt.passes.fuse import _affine
from onnxopt.rewrite import Builder, Const, Op, Opt, PatternOps, Rule, Var


class AfterLayer(Rule):
    """``(W·x + b) k = (k W)·x + k b``, and ``/ k`` likewise, with one k in all or one a channel.

    For Conv, ConvTranspose, Gemm and products with a constant matrix.
    """

    def pattern(self, op: PatternOps, x: Var, w: Const, b: Opt, k: Const) -> Op:
        layer = op.one_of("Conv", "ConvTranspose", "Gemm", "MatMul")(x, w, b, _name="layer")
        return op.one_of("Mul", "Div")(layer, k)

    def rewrite(self, op: Builder, layer: ir.Value, k: ir.Value, root: ir.Node) -> ir.Value:
        found = _affine.read(_affine.producer(layer))
        return found.apply(op, factor(root, k, found), None)


class AfterMatMulAdd(Rule):
    """``(x W + b) k = x (W k) + k b``, and ``/ k`` likewise, with one k in all or one a column."""

    def pattern(self, op: PatternOps, x: Var, w: Const, b: Const, k: Const) -> Op:
        return op.one_of("Mul", "Div")(op.MatMul(x, w, _name="layer") + b, k)

    def rewrite(
        self, op: Builder, layer: ir.Value, b: ir.Value, k: ir.Value, root: ir.Node
    ) -> ir.Value:
        found = _affine.read(_affine.producer(layer))
        bias = _affine.per_channel(b, found.channels, rank=found.rank, axis=found.axis)
        scale = factor(root, k, found)
        return found.apply(op, scale, scale * bias)


def factor(root: ir.Node, k: ir.Value, layer: _affine.Layer) -> np.ndarray:
    """Return what a Mul or Div by k multiplies each output channel of a layer with."""
    numbers = _affine.per_channel(k, layer.channels, rank=layer.rank, axis=layer.axis)
    if root.op_type == "Mul":
        return numbers
    with np.errstate(divide="ignore"):  # an infinite factor is declined when it is rounded
        return 1.0 / numbers
