"""Channels that are shuffled, picked in their new order by one operator."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rule, Var


class ShuffleChannels(Rule):
    """``Reshape(Transpose(Reshape(x)))`` that swaps two halves of one axis becomes ``Gather(x)``.

    ShuffleNet writes ``g`` groups of ``c`` channels, transposes the two, and writes them back: one
    axis in another order. Gather copies each of its positions as a whole, as the transposition
    does, so one operator does in the same time what three did; to the bit. Only where positions are
    more than single numbers, which Transpose moves faster.
    """

    since = 5

    def pattern(self, op: PatternOps, x: Var, apart: Var, together: Var) -> Op:
        groups = op.Reshape(x, apart, _name="groups")
        return op.Reshape(op.Transpose(groups, perm=Attr("perm")), together, _name="shuffled")

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        groups: ir.Value,
        shuffled: ir.Value,
        perm: tuple[int, ...],
    ) -> ir.Value:
        extents = graph.dims(x)
        if extents is None or graph.dims(shuffled) != extents or None in extents:
            raise Decline("not known to keep its shape")
        taken = graph.dims(groups) or ()
        axis, parts = _halves(perm, taken)
        if (*taken[:axis], parts[0] * parts[1], *taken[axis + 2 :]) != extents:
            raise Decline("more than one axis is taken apart")
        if 1 in parts or axis == len(extents) - 1:
            raise Decline("nothing moves, or single numbers do")
        order = np.arange(parts[0] * parts[1]).reshape(parts).T.ravel()
        return op.Gather(x, order.astype(np.int64), axis=axis)


def _halves(
    perm: tuple[int, ...], extents: tuple[int | str | None, ...]
) -> tuple[int, tuple[int, int]]:
    """Return the first of the two neighbours that a permutation swaps, and the extents of both."""
    moved = [at for at, axis in enumerate(perm) if at != axis]
    if len(moved) != 2 or moved[1] != moved[0] + 1 or len(extents) != len(perm):
        raise Decline("not two neighbours that are swapped")
    first, second = extents[moved[0]], extents[moved[1]]
    if not isinstance(first, int) or not isinstance(second, int):
        raise Decline("groups of unknown size")
    return moved[0], (first, second)
