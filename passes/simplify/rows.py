"""One row of each matrix of a batch, which exporters number through."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._facts import Extent, extents
from onnxopt.passes.simplify._index import affine
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rest, Rule, Var
from onnxopt.shapes.extent import product


class NumberedBatch(Rule):
    """``GatherND(x, concat(i, j))`` with i counting through the batch takes j for each of it.

    That is ``GatherND(x, j)`` with ``batch_dims=1``.
    """

    since = 13
    shared = True

    def pattern(self, op: PatternOps, x: Var, i: Var, j: Var) -> Op:
        return op.GatherND(x, op.Concat(i, j, axis=Attr("axis")))

    def rewrite(
        self, op: Builder, root: ir.Node, x: ir.Value, i: ir.Value, j: ir.Value, axis: int
    ) -> ir.Value:
        dims, own, other = extents(x), extents(i), extents(j)
        if graph.attr_int(root, "batch_dims", 0) or axis not in (-1, 1):
            raise Decline("with batches, or joined along another axis")
        if not dims or own != (dims[0], 1) or other != own or dims[0] is None:
            raise Decline("not one index for each of the batch")
        _check_count(i, 1)
        return op.GatherND(x, j, batch_dims=1)


class NumberedRows(Rule):
    """``Gather(view(x), j + i n)``, n rows for each of the batch, becomes the same.

    The view must number all rows of x through, and j be found by ArgMax or ArgMin among n.
    """

    since = 13
    shared = True

    def pattern(self, op: PatternOps, x: Var, rest: Rest, i: Var, j: Var) -> Op:
        view = op.one_of("Reshape", "Flatten")(x, rest, _name="flat")
        index = op.one_of("ArgMax", "ArgMin")(j, _name="found") + i
        return op.Gather(view, index, axis=Attr("axis", 0))

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        i: ir.Value,
        flat: ir.Value,
        found: ir.Value,
        axis: int,
    ) -> ir.Value:
        dims, whole = extents(x), extents(flat)
        if axis != 0 or dims is None or len(dims) < 2 or None in dims:
            raise Decline("along another axis, or of an unknown shape")
        if whole != (product(dims[:2]), *dims[2:]) or extents(found) != (dims[0],):
            raise Decline("rows are not numbered through, or not one is taken of each")
        if _choices(found) != dims[1] or extents(i) != (dims[0],):
            raise Decline("the index may lie in another matrix")
        _check_count(i, dims[1])
        return op.GatherND(x, op.Unsqueeze(found, np.array([-1])), batch_dims=1)


def _check_count(i: ir.Value, step: Extent) -> None:
    """Decline an index that is not ``step`` times the number of the row."""
    counted = affine(i)
    if counted is None or counted.offset != 0 or counted.steps[0] != step:
        raise Decline("does not count through the batch")


def _choices(found: ir.Value) -> Extent:
    """Return among how many elements an ArgMax or ArgMin chooses."""
    node = found.producer()
    dims = None if node is None else extents(node.inputs[0])
    if node is None or dims is None:
        return None
    return dims[graph.attr_int(node, "axis", 0)]
