"""Averages over a whole plane."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rule, Var


class WholeAverage(Rule):
    """``AveragePool(x)`` whose one window holds a whole plane becomes ``GlobalAveragePool(x)``.

    One form for the heads of networks; and a window far beyond the plane, which transformers'
    EfficientNet has, is walked through by ONNX Runtime's kernel, ten times as long.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.AveragePool(x)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        _check_whole(root, x)
        return op.GlobalAveragePool(x)


def _check_whole(pool: ir.Node, x: ir.Value) -> None:
    """Decline unless one window holds every position of the plane, and nothing beside it."""
    before, after = graph.dims(x), graph.dims(pool.outputs[0])
    kernel = graph.attr_ints(pool, "kernel_shape") or ()
    if before is None or after is None or len(before) != len(kernel) + 2:
        raise Decline("of unknown shape")
    plane = before[2:]
    if any(extent != 1 for extent in after[2:]):
        raise Decline("more than one window")
    if any(graph.attr_ints(pool, "pads") or ()) or any(
        step != 1 for step in graph.attr_ints(pool, "dilations") or ()
    ):
        raise Decline("padded, or with holes")
    if graph.attr_str(pool, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Decline("padded")
    for extent, size in zip(plane, kernel, strict=True):
        if not isinstance(extent, int) or not 0 < extent <= size:
            raise Decline("the window may hold less")
