"""Resizing to the size there is."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._facts import uniform
from onnxopt.rewrite import Attr, Builder, Decline, Op, Opt, PatternOps, Rule, Var

_KEEPS = frozenset(
    (
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
    )
)
"""Ways to place the grid in which output pixel i is input pixel i when the size stays."""


class Resize(Rule):
    """``Resize(x)`` by scales of 1, or to the sizes ``x`` has, becomes ``x``, from opset 11."""

    since = 11

    def pattern(self, op: PatternOps, x: Var, roi: Opt, scales: Opt, sizes: Opt) -> Op:
        placed = Attr("placed", "half_pixel")
        return op.Resize(x, roi, scales, sizes, coordinate_transformation_mode=placed)

    def rewrite(
        self,
        op: Builder,
        root: ir.Node,
        x: ir.Value,
        scales: ir.Value | None,
        sizes: ir.Value | None,
        placed: str,
    ) -> ir.Value:
        if placed not in _KEEPS:
            raise Decline("pixels move although the size stays")
        if uniform(scales) != 1 and (sizes is None or not graph.same_shape(x, root.outputs[0])):
            raise Decline("the size changes, or may")
        return x


class Upsample(Rule):
    """``Upsample(x)`` or ``Resize(x)`` by scales of 1 becomes ``x``, up to opset 10."""

    until = 10

    def pattern(self, op: PatternOps, x: Var, scales: Opt) -> Op:
        return op.one_of("Upsample", "Resize")(x, scales)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, scales: ir.Value | None) -> ir.Value:
        attribute = root.attributes.get("scales")
        found = graph.array(scales) if attribute is None else attribute.as_floats()
        if found is None or any(scale != 1 for scale in found):
            raise Decline("the size changes, or may")
        return x
