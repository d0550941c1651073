"""Clip, and Relu as a Clip from 0."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import FLOATS
from onnxopt.rewrite import Builder, Decline, Op, Opt, PatternOps, Rule, Var

_Bounds = tuple[float, float]


def _bounds(low: ir.Value | None, high: ir.Value | None) -> _Bounds:
    """Return the bounds of a Clip, infinite where it has none; raises Decline."""
    found = (
        -math.inf if low is None else graph.scalar(low),
        math.inf if high is None else graph.scalar(high),
    )
    if found[0] is None or found[1] is None:
        raise Decline("the bounds are not constant")
    if not found[0] <= found[1]:
        raise Decline("the bounds are crossed")
    return found[0], found[1]


def _clip(op: Builder, x: ir.Value, bounds: _Bounds) -> ir.Value:
    if x.dtype is None:
        raise Decline("the type is not known")
    kind = x.dtype.numpy()
    low = None if bounds[0] == -math.inf else np.asarray(bounds[0], dtype=kind)
    high = None if bounds[1] == math.inf else np.asarray(bounds[1], dtype=kind)
    return op.Clip(x, low) if high is None else op.Clip(x, low, high)


def _compose(inner: _Bounds, outer: _Bounds) -> _Bounds:
    low, high = (min(max(bound, outer[0]), outer[1]) for bound in inner)
    return low, high


class Unbounded(Rule):
    """``Clip(x)`` without bounds, or with infinite ones, becomes ``x``."""

    since = 11

    def pattern(self, op: PatternOps, x: Var, low: Opt, high: Opt) -> Op:
        return op.Clip(x, low, high)

    def rewrite(
        self, op: Builder, x: ir.Value, low: ir.Value | None, high: ir.Value | None
    ) -> ir.Value:
        if _bounds(low, high) != (-math.inf, math.inf):
            raise Decline("has a bound")
        return x


class FromZero(Rule):
    """``Clip(x, 0)`` without an upper bound becomes ``Relu(x)``, of floats."""

    since = 11

    def pattern(self, op: PatternOps, x: Var, low: Opt, high: Opt) -> Op:
        return op.Clip(x, low, high)

    def rewrite(
        self, op: Builder, x: ir.Value, low: ir.Value | None, high: ir.Value | None
    ) -> ir.Value:
        if x.dtype not in FLOATS or _bounds(low, high) != (0.0, math.inf):
            raise Decline("other bounds, or not of floats")
        return op.Relu(x)


class ClipClip(Rule):
    """``Clip(Clip(x, a, b), c, d)`` becomes ``Clip(x, clip(a, c, d), clip(b, c, d))``.

    Of floats, with constant bounds in order.
    """

    since = 11

    def pattern(self, op: PatternOps, x: Var, a: Opt, b: Opt, c: Opt, d: Opt) -> Op:
        return op.Clip(op.Clip(x, a, b), c, d)

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        a: ir.Value | None,
        b: ir.Value | None,
        c: ir.Value | None,
        d: ir.Value | None,
    ) -> ir.Value:
        if x.dtype not in FLOATS:
            raise Decline("not of floats")
        return _clip(op, x, _compose(_bounds(a, b), _bounds(c, d)))


class ReluClip(Rule):
    """``Clip(Relu(x), c, d)`` becomes ``Clip(x, max(c, 0), d)``, of floats."""

    since = 11

    def pattern(self, op: PatternOps, x: Var, c: Opt, d: Opt) -> Op:
        return op.Clip(op.Relu(x), c, d)

    def rewrite(self, op: Builder, x: ir.Value, c: ir.Value | None, d: ir.Value | None) -> ir.Value:
        if x.dtype not in FLOATS:
            raise Decline("not of floats")
        return _clip(op, x, _compose((0.0, math.inf), _bounds(c, d)))


class ClipRelu(Rule):
    """``Relu(Clip(x, a, b))`` becomes ``Clip(x, max(a, 0), max(b, 0))``, of floats."""

    since = 11

    def pattern(self, op: PatternOps, x: Var, a: Opt, b: Opt) -> Op:
        return op.Relu(op.Clip(x, a, b))

    def rewrite(self, op: Builder, x: ir.Value, a: ir.Value | None, b: ir.Value | None) -> ir.Value:
        if x.dtype not in FLOATS:
            raise Decline("not of floats")
        return _clip(op, x, _compose(_bounds(a, b), (0.0, math.inf)))
