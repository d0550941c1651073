"""A constant summand after a layer, into its bias."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.passes.fuse import _affine
from onnxopt.rewrite import Builder, Const, Op, Opt, PatternOps, Rule, Var


class AfterLayer(Rule):
    """``(W·x + b) + t = W·x + (b + t)``, and ``- t`` likewise, with one t in all or one a channel.

    For Conv, ConvTranspose and Gemm.
    """

    def pattern(self, op: PatternOps, x: Var, w: Const, b: Opt, t: Const) -> Op:
        layer = op.one_of("Conv", "ConvTranspose", "Gemm")(x, w, b, _name="layer")
        return op.one_of("Add", "Sub")(layer, t)

    def rewrite(self, op: Builder, layer: ir.Value, t: ir.Value, root: ir.Node) -> ir.Value:
        found = _affine.read(_affine.producer(layer))
        shift = _affine.per_channel(t, found.channels, rank=found.rank, axis=found.axis)
        return found.apply(op, None, -shift if root.op_type == "Sub" else shift)
