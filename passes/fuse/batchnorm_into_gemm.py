"""BatchNormalization into the matrix product before or after it."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine, _before
from onnxopt.rewrite import Builder, Decline, Op, Opt, PatternOps, Rule, Var


class AfterGemm(Rule):
    """``BatchNorm(x W + b) = x (W k) + (k b + t)`` with one k and t a column of W."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Var, b: Opt, s: Var, t: Var, m: Var, v: Var) -> Op:
        return op.BatchNormalization(op.Gemm(x, w, b, _name="layer"), s, t, m, v)

    def rewrite(self, op: Builder, layer: ir.Value, root: ir.Node) -> ir.Value:
        found = _affine.read(_affine.producer(layer))
        return found.apply(op, *_affine.normalization(root, found.channels))


class AfterMatMul(Rule):
    """``BatchNorm(x W) = x (W k) + t`` for a matrix x: in other ranks axis 1 is no column."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Var, s: Var, t: Var, m: Var, v: Var) -> Op:
        return op.BatchNormalization(op.MatMul(x, w, _name="layer"), s, t, m, v)

    def rewrite(self, op: Builder, x: ir.Value, layer: ir.Value, root: ir.Node) -> ir.Value:
        if graph.rank(x) != 2:
            raise Decline("not known to be a matrix")
        found = _affine.read(_affine.producer(layer))
        return found.apply(op, *_affine.normalization(root, found.channels))


class AfterMatMulAdd(Rule):
    """``BatchNorm(x W + b) = x (W k) + (k b + t)`` for a matrix x."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Var, b: Var, s: Var, t: Var, m: Var, v: Var) -> Op:
        layer = op.MatMul(x, w, _name="layer")
        return op.BatchNormalization(layer + b, s, t, m, v)

    def rewrite(
        self, op: Builder, x: ir.Value, b: ir.Value, layer: ir.Value, root: ir.Node
    ) -> ir.Value:
        if graph.rank(x) != 2:
            raise Decline("not known to be a matrix")
        found = _affine.read(_affine.producer(layer))
        factor, shift = _affine.normalization(root, found.channels)
        bias = _affine.per_channel(b, found.channels, rank=2, axis=1)
        return found.apply(op, factor, shift + factor * bias)


class BeforeGemm(Rule):
    """``BatchNorm(x) W + b = x (k W) + (t W + b)`` with one k and t a row of W."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Var, b: Opt, s: Var, t: Var, m: Var, v: Var) -> Op:
        return op.Gemm(op.BatchNormalization(x, s, t, m, v, _name="normal"), w, b)

    def rewrite(self, op: Builder, x: ir.Value, normal: ir.Value, root: ir.Node) -> ir.Value:
        if graph.attr_int(root, "transA", 0):
            raise Decline("the columns of x are rows of the product")
        layer = _affine.read(root)
        channels = _before.channels(layer)
        return _before.apply(
            op, layer, x, *_affine.normalization(_affine.producer(normal), channels)
        )
