"""Pad into the convolution or pooling after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _affine
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rest, Rule, Var


class IntoConv(Rule):
    """``Conv(Pad(x, p)) = Conv(x)`` with p added to its own padding, where Pad writes zeros."""

    since = 2

    def pattern(self, op: PatternOps, x: Var, options: Rest, others: Rest) -> Op:
        return op.Conv(op.Pad(x, options, _name="padded"), others)

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        padded: ir.Value,
        others: tuple[ir.Value | None, ...],
        root: ir.Node,
    ) -> ir.Value:
        before, after, value = _padding(_affine.producer(padded))
        if value != 0:
            raise Decline("pads with another number than zero")
        return _absorb(op, root, (x, *others), before, after)


class IntoAveragePool(Rule):
    """``AveragePool(Pad(x, p)) = AveragePool(x)`` with p as padding that counts in the mean."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, options: Rest) -> Op:
        return op.AveragePool(op.Pad(x, options, _name="padded"))

    def rewrite(self, op: Builder, x: ir.Value, padded: ir.Value, root: ir.Node) -> ir.Value:
        before, after, value = _padding(_affine.producer(padded))
        counted = graph.attr_int(root, "count_include_pad", 0)
        if value != 0 or (any(graph.attr_ints(root, "pads") or ()) and not counted):
            raise Decline("the mean would be taken over other elements")
        _check_windows(root, before, after)
        return _absorb(op, root, (x,), before, after, {"count_include_pad": 1})


class IntoMaxPool(Rule):
    """``MaxPool(Pad(x, p)) = MaxPool(x)`` with p as its padding, where Pad writes -inf."""

    since = 2

    def pattern(self, op: PatternOps, x: Var, options: Rest) -> Op:
        return op.MaxPool(op.Pad(x, options, _name="padded"))

    def rewrite(self, op: Builder, x: ir.Value, padded: ir.Value, root: ir.Node) -> ir.Value:
        before, after, value = _padding(_affine.producer(padded))
        if value != -math.inf or len(root.outputs) > 1:
            raise Decline("padding would take part in the maximum")
        _check_windows(root, before, after)
        return _absorb(op, root, (x,), before, after)


def _padding(pad: ir.Node) -> tuple[tuple[int, ...], tuple[int, ...], float]:
    """Return what a Pad adds before and after each spatial axis, and which number it writes."""
    if graph.attr_str(pad, "mode", "constant") != "constant":
        raise Decline("pads with a copy of the data")
    inputs = (*pad.inputs[1:], None, None, None)
    if inputs[0] is None:
        amounts, value = graph.attr_ints(pad, "pads"), graph.attr_float(pad, "value", 0.0)
    else:
        amounts = graph.ints(inputs[0])
        found = 0.0 if inputs[1] is None else graph.scalar(inputs[1])
        value = math.nan if found is None else found
    if amounts is None:
        raise Decline("the padding is not constant")
    full = _on_all_axes(pad, amounts, inputs[2])
    rank = len(full) // 2
    if rank < 3 or any(full[:2] + full[rank : rank + 2]) or min(full) < 0:
        raise Decline("pads another axis than the spatial ones, or crops")
    return full[2:rank], full[rank + 2 :], value


def _on_all_axes(pad: ir.Node, amounts: tuple[int, ...], axes: ir.Value | None) -> tuple[int, ...]:
    if axes is None:
        return amounts
    named, rank = graph.ints(axes), graph.rank(pad.inputs[0])
    if named is None or rank is None:
        raise Decline("the padded axes are unknown")
    full = [0] * (2 * rank)
    for place, axis in enumerate(named):
        full[axis % rank] = amounts[place]
        full[axis % rank + rank] = amounts[place + len(named)]
    return tuple(full)


def _check_windows(pool: ir.Node, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """Decline where a window could lie in the padding alone, or hang over the padded edge."""
    kernel = graph.attr_ints(pool, "kernel_shape") or ()
    own = graph.attr_ints(pool, "pads") or (0,) * (2 * len(kernel))
    total = [a + b for a, b in zip(before + after, own, strict=False)]
    if len(before) != len(kernel) or any(p >= k for p, k in zip(total, kernel * 2, strict=False)):
        raise Decline("the padding is as wide as the window")
    dilated = any(d != 1 for d in graph.attr_ints(pool, "dilations") or ())
    if dilated or graph.attr_int(pool, "ceil_mode", 0):
        raise Decline("windows may hang over the edge")


def _absorb(
    op: Builder,
    window: ir.Node,
    inputs: tuple[ir.Value | None, ...],
    before: tuple[int, ...],
    after: tuple[int, ...],
    changes: Mapping[str, int] = MappingProxyType({}),
) -> ir.Value:
    """Build the operator with its padding enlarged."""
    if graph.attr_str(window, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Decline("the padding depends on the size")
    own = graph.attr_ints(window, "pads") or (0,) * (2 * len(before))
    if len(own) != 2 * len(before):
        raise Decline("the padding does not fit the operator")
    attributes = {k: v for k, v in window.attributes.items() if k not in ("auto_pad", "pads")}
    pads = [a + b for a, b in zip(own, before + after, strict=True)]
    made = op.node(window.op_type, inputs, {**attributes, **changes, "pads": pads})
    return made.outputs[0]
