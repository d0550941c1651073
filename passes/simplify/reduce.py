"""Reductions and poolings over single elements."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify import _parts
from onnxopt.passes.simplify._facts import first_output_only
from onnxopt.rewrite import Attr, Builder, Const, Decline, Op, PatternOps, Rest, Rule, Var
from onnxopt.rewrite.builder import AttrValue


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


class WholeImage(Rule):
    """``ReduceMean(x)`` over all axes after the channels becomes ``GlobalAveragePool(x)``."""

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> Op:
        return op.ReduceMean(x, rest)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        rank = graph.rank(x)
        found = _parts.axes(root, 1, rank)
        if rank is None or rank < 4 or not found or sorted(found) != list(range(2, rank)):
            raise Decline("not over all of an image")
        if x.dtype != ir.DataType.FLOAT or _is_moment(root, x):
            raise Decline("not in float32, or a part of a normalization")
        if not graph.attr_int(root, "keepdims", 1):
            raise Decline("the axes go, which would take a node of its own")
        return op.GlobalAveragePool(x)


def _is_moment(mean: ir.Node, x: ir.Value) -> bool:
    """Return whether a mean is of squares, or is taken from what it is the mean of."""
    made = x.producer()
    squares = made is not None and (
        made.op_type == "Pow" or len(set(made.inputs)) < len(made.inputs)
    )
    return squares or any(x in user.inputs for user in mean.outputs[0].consumers())


class PooledNewAxis(Rule):
    """A global pooling of ``Unsqueeze(x)`` beside other pooled axes becomes that of ``x``."""

    since = 13

    def pattern(self, op: PatternOps, x: Var, axes: Const) -> Op:
        return op.one_of("GlobalAveragePool", "GlobalMaxPool")(op.Unsqueeze(x, axes))

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, axes: ir.Value) -> ir.Value:
        rank, found = graph.rank(x), graph.ints(axes)
        if rank is None or rank < 3 or found is None:
            raise Decline("no image without the axis")
        along = _parts.from_front(found, rank + len(found))
        if min(along) < 2:
            raise Decline("the axis is not of the image")
        return _parts.unsqueeze(op, op.copy(root, [x]), along)


class KeptAxes(Rule):
    """``Unsqueeze(ReduceMean(x, axes), axes)`` becomes ReduceMean that keeps the axes.

    As do the other reductions.
    """

    since = 13

    def pattern(self, op: PatternOps, x: Var, rest: Rest, axes: Const) -> Op:
        names = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceL2")
        return op.Unsqueeze(op.one_of(*names)(x, rest, keepdims=0, _name="reduced"), axes)

    def rewrite(
        self, op: Builder, root: ir.Node, x: ir.Value, axes: ir.Value, reduced: ir.Value
    ) -> ir.Value:
        node, rank = reduced.producer(), graph.rank(x)
        if node is None or rank is None or not (found := _parts.axes(node, 1, rank)):
            raise Decline("the axes are not known")
        if sorted(found) != sorted(_parts.from_front(graph.ints(axes) or (), rank)):
            raise Decline("other axes")
        kept: dict[str, AttrValue | None] = {**node.attributes, "keepdims": 1}
        return op.node(node.op_type, node.inputs, kept).outputs[0]
