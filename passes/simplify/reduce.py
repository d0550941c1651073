"""Reductions and poolings over single elements."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify import _parts
from onnxopt.passes.simplify._facts import first_output_only
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rest, Rule, Var


class SingleElements(Rule):
    """A sum, mean, product, maximum or minimum over axes of extent 1 becomes ``x``.

    With ``keepdims=0`` it becomes ``Squeeze(x, axes)``.
    """

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> Op:
        names = ("ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin")
        return op.one_of(*names)(x, rest, keepdims=Attr("keepdims", 1))

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, keepdims: int) -> ir.Value:
        shape = graph.dims(x)
        found = _parts.axes(root, 1, graph.rank(x))
        if not found and graph.attr_int(root, "noop_with_empty_axes", 0):
            return x
        if shape is None:
            raise Decline("the shape is not known")
        along = found or tuple(range(len(shape)))
        if any(shape[axis] != 1 for axis in along):
            raise Decline("several elements, or maybe")
        return x if keepdims or not along else _parts.squeeze(op, x, along)


class OnePixel(Rule):
    """A pooling of 1 x 1 pixels with steps of 1 becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.one_of("MaxPool", "AveragePool")(x)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        first_output_only(root)
        for name in ("kernel_shape", "strides"):
            if any(number != 1 for number in graph.attr_ints(root, name) or ()):
                raise Decline("several pixels, or leaves some out")
        if any(graph.attr_ints(root, "pads") or ()):
            raise Decline("pads")
        return x


class OnePixelGlobal(Rule):
    """A global pooling of an image of 1 x 1 pixels becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.one_of("GlobalAveragePool", "GlobalMaxPool")(x)

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        shape = graph.dims(x)
        if shape is None or any(extent != 1 for extent in shape[2:]):
            raise Decline("several pixels, or maybe")
        return x
