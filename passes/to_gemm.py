"""Products with a bias as Gemm, whose kernel adds the bias by itself."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import ACTIVATIONS
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rest, Rule, Var


class WithBias(Rule):
    """``x W + b`` becomes ``Reshape(Gemm(Reshape(x), W, b))``, all leading axes of x as rows.

    Where x has more than two axes, ONNX Runtime's CPU provider computes the sum apart from the
    product, or joins it with a Gelu behind it, which takes longer than the two. Gemm begins with
    the bias, and Reshape moves nothing. In float32, where at most one leading extent is unknown:
    otherwise the shapes had to be computed in every run.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Const, b: Const) -> Op:
        return op.MatMul(x, w, _name="product") + b

    def rewrite(
        self, op: Builder, x: ir.Value, w: ir.Value, b: ir.Value, product: ir.Value
    ) -> ir.Value:
        before, weight = graph.dims(x), graph.static(w)
        if before is None or len(before) < 3 or weight is None or len(weight) != 2:
            raise Decline("no product of rows with a matrix")
        depth, columns = weight
        if before[-1] != depth or graph.static(b) != (columns,):
            raise Decline("the bias is no row")
        if product.dtype != ir.DataType.FLOAT or w.dtype != ir.DataType.FLOAT:
            raise Decline("not in float32")
        leading = [extent if isinstance(extent, int) else -1 for extent in before[:-1]]
        if leading.count(-1) > 1 or 0 in leading:
            raise Decline("the shape cannot be written as a constant")
        rows = _rows(x, depth) or op.Reshape(x, np.array([-1, depth]))
        return op.Reshape(op.Gemm(rows, w, b), np.array([*leading, columns]))


def _rows(x: ir.Value, depth: int) -> ir.Value | None:
    """Return the rows that a value was reshaped from; None where it was not."""
    made = x.producer()
    before = made.inputs[0] if made is not None and made.op_type == "Reshape" else None
    extents = graph.dims(before)
    return before if extents is not None and len(extents) == 2 and extents[1] == depth else None


class OnRows(Rule):
    """``f(Reshape(Gemm(…)))`` becomes ``Reshape(f(Gemm(…)))``, f a function of single elements.

    So that rows stay rows from one product to the next.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Const, b: Const, shape: Const, rest: Rest) -> Op:
        spread = op.Reshape(op.Gemm(x, w, b, _name="rows"), shape, _name="spread")
        return op.one_of(*ACTIVATIONS)(spread, rest)

    def rewrite(
        self,
        op: Builder,
        root: ir.Node,
        rows: ir.Value,
        spread: ir.Value,
        shape: ir.Value,
        rest: tuple[ir.Value, ...],
    ) -> ir.Value:
        if not (graph.sole_use(rows) and graph.sole_use(spread)):
            raise Decline("something else reads what is between")
        return op.Reshape(op.copy(root, [rows, *rest]), shape)
