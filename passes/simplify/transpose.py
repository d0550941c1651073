"""Transposes after one another, and those that move no data."""

from __future__ import annotations

from typing import cast

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._facts import Extent, extents, reshape_target
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rule, Var


class TransposeTranspose(Rule):
    """``Transpose(Transpose(x, p), q)`` becomes ``Transpose(x, [p[i] for i in q])``.

    It becomes ``x`` where that is no change; only then may others read the inner one.
    """

    shared = True

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Transpose(
            op.Transpose(x, perm=Attr("first"), _name="between"), perm=Attr("second")
        )

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        between: ir.Value,
        first: tuple[int, ...],
        second: tuple[int, ...],
    ) -> ir.Value:
        both = [first[axis] for axis in second]
        if both == list(range(len(both))):
            return x
        if not graph.sole_use(between):
            raise Decline("the inner Transpose stays")
        return op.Transpose(x, perm=both)


class MovesOnes(Rule):
    """A Transpose that leaves the axes of more than one element in order becomes a Reshape.

    ``Transpose(x of [1, 7, 64, 1], perm=[1, 0, 3, 2])`` is ``Reshape(x, [7, 1, 1, 64])``, which
    copies nothing.
    """

    since = 5

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Transpose(x, perm=Attr("perm"))

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, perm: tuple[int, ...]) -> ir.Value:
        shape = graph.dims(x)
        if shape is None or len(shape) != len(perm):
            raise Decline("the shape is not known")
        moved = [axis for axis in perm if shape[axis] != 1]
        if moved != sorted(moved):
            raise Decline("moves data, or may")
        return op.Reshape(x, reshape_target(x, root.outputs[0]))


class BetweenReshapes(Rule):
    """``Reshape(Transpose(Reshape(x, s), p), t)`` becomes one Transpose.

    Where the first Reshape joins axes of ``x`` that lie side by side and the second parts the
    joined axes again: ``[b, 4, n, 16]`` by way of ``[4 b, n, 16]`` and ``[4 b, 16, n]`` to
    ``[b, 4, 16, n]`` is ``Transpose(x, [0, 1, 3, 2])``.
    """

    since = 5

    def pattern(self, op: PatternOps, x: Var, s: Var, t: Var) -> Op:
        joined = op.Reshape(x, s, _name="joined")
        return op.Reshape(op.Transpose(joined, perm=Attr("perm")), t)

    def rewrite(
        self, op: Builder, root: ir.Node, x: ir.Value, joined: ir.Value, perm: tuple[int, ...]
    ) -> ir.Value:
        before, between, after = extents(x), extents(joined), extents(root.outputs[0])
        if before is None or between is None or after is None or len(before) != len(after):
            raise Decline("the shapes are not known")
        for groups in (_groups(before, between, ones=True), _groups(before, between, ones=False)):
            order = [axis for place in perm for axis in groups[place]] if groups else []
            if groups and tuple(before[axis] for axis in order) == after:
                return op.Transpose(x, perm=order)
        raise Decline("the axes are parted in another way")


def _groups(parts: tuple[Extent, ...], joined: tuple[Extent, ...], *, ones: bool) -> list[range]:
    """Return which axes side by side were joined into each axis; [] where that is not decided.

    ``ones`` says whether an axis of extent 1 goes to the axes before it, or after.
    """
    groups: list[range] = []
    start = 0
    for whole in joined:
        end, product = start, cast(Extent, 1)
        while end < len(parts) and (product != whole or (ones and parts[end] == 1)):
            part = parts[end]
            if part is None or product is None or whole is None:
                return []
            product, end = product * part, end + 1
        if product != whole:
            return []
        groups.append(range(start, end))
        start = end
    return groups if start == len(parts) else []
