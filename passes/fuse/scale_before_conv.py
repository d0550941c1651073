"""A constant factor or summand before a convolution, into its weights."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine, _before
from onnxopt.rewrite import Builder, Const, Decline, Op, Opt, PatternOps, Rule, Var


class Scale(Rule):
    """``W·(k x) + b = (k W)·x + b``, and ``/ k`` likewise: one k in all or one an input channel."""

    def pattern(self, op: PatternOps, x: Var, k: Const, w: Const, b: Opt) -> Op:
        scaled = op.one_of("Mul", "Div")(x, k, _name="scaled")
        return op.Conv(scaled, w, b)

    def rewrite(
        self, op: Builder, x: ir.Value, k: ir.Value, scaled: ir.Value, root: ir.Node
    ) -> ir.Value:
        layer = _affine.read(root)
        channels = _before.channels(layer)
        numbers = _affine.per_channel(k, channels, rank=layer.rank, axis=1)
        _same_size(x, layer.rank, 1, channels)
        return _before.apply(op, layer, x, _factor(scaled, numbers), None)


class Shift(Rule):
    """``W·(x + t) + b = W·x + (W·t + b)``, and ``- t`` likewise, without padding."""

    def pattern(self, op: PatternOps, x: Var, t: Const, w: Const, b: Opt) -> Op:
        return op.Conv(op.one_of("Add", "Sub")(x, t, _name="shifted"), w, b)

    def rewrite(
        self, op: Builder, x: ir.Value, t: ir.Value, shifted: ir.Value, root: ir.Node
    ) -> ir.Value:
        layer = _affine.read(root)
        channels = _before.channels(layer)
        shift = _affine.per_channel(t, channels, rank=layer.rank, axis=1)
        _same_size(x, layer.rank, 1, channels)
        if _before.padded(root):
            raise Decline("the convolution pads with zeros")
        sign = -1.0 if _affine.producer(shifted).op_type == "Sub" else 1.0
        return _before.apply(op, layer, x, np.ones(channels), sign * shift)


def _factor(scaled: ir.Value, numbers: np.ndarray) -> np.ndarray:
    if _affine.producer(scaled).op_type == "Mul":
        return numbers
    with np.errstate(divide="ignore"):  # an infinite factor is declined when it is rounded
        return 1.0 / numbers


def _same_size(x: ir.Value, rank: int, axis: int, channels: int) -> None:
    """Decline where the constant may have enlarged x."""
    dims = graph.dims(x)
    if dims is None or len(dims) != rank:
        raise Decline("the constant may add an axis")
    if dims[axis] != channels:
        raise Decline("the constant may repeat a channel")
