"""BatchNormalization into the convolution before or after it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine, _before
from onnxopt.rewrite import Builder, Decline, Op, Opt, PatternOps, Rule, Var


class AfterConv(Rule):
    """``BatchNorm(W·x + b) = (k W)·x + (k (b - mean) + bias)``, ``k = scale / sqrt(var + eps)``.

    Per output channel, for Conv and ConvTranspose in groups or not. In inference only.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Var, b: Opt, s: Var, t: Var, m: Var, v: Var) -> Op:
        layer = op.one_of("Conv", "ConvTranspose")(x, w, b, _name="layer")
        return op.BatchNormalization(layer, s, t, m, v)

    def rewrite(self, op: Builder, layer: ir.Value, root: ir.Node) -> ir.Value:
        found = _affine.read(_affine.producer(layer))
        return found.apply(op, *_affine.normalization(root, found.channels))


class BeforeConv(Rule):
    """``W·BatchNorm(x) + b = (W k)·x + (W·t + b)`` per input channel, ``t = bias - k mean``.

    Only without padding: a padded zero enters the convolution as zero, not as t.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Var, b: Opt, s: Var, t: Var, m: Var, v: Var) -> Op:
        return op.Conv(op.BatchNormalization(x, s, t, m, v, _name="normal"), w, b)

    def rewrite(self, op: Builder, x: ir.Value, normal: ir.Value, root: ir.Node) -> ir.Value:
        layer = _affine.read(root)
        channels = _before.channels(layer)
        factor, shift = _affine.normalization(_affine.producer(normal), channels)
        if np.any(shift) and _before.padded(root):
            raise Decline("the convolution pads with zeros")
        if graph.rank(x) not in (None, layer.rank):
            raise Decline("the ranks differ")
        return _before.apply(op, layer, x, factor, shift)
