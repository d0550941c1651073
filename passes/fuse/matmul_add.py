"""A matrix product and its bias as one Gemm, where x is a matrix and nowhere else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import ACTIVATIONS, FLOATS
from onnxopt.passes.fuse import _affine
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rest, Rule, Var


class ToGemm(Rule):
    """``x W + b`` becomes ``Gemm(x, W, b)`` where x is known to be a matrix.

    The sum must have the product's shape: b is a number, a row, or a matrix of that shape.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var, w: Const, b: Var) -> Op:
        return op.MatMul(x, w, _name="product") + b

    def rewrite(
        self, op: Builder, x: ir.Value, w: ir.Value, b: ir.Value, product: ir.Value
    ) -> ir.Value:
        weight = graph.tensor(w)
        dims = graph.dims(b)
        if graph.rank(x) != 2 or weight is None or len(weight.shape) != 2 or dims is None:
            raise Decline("not known to be matrices")
        if weight.dtype not in FLOATS:
            raise Decline("not a product of floating-point numbers")
        columns = weight.shape.numpy()[1]
        row = dims in ((), (1,), (columns,), (1, 1), (1, columns))
        if not row and not graph.same_shape(b, product):
            raise Decline("the sum may have another shape than the product")
        return op.Gemm(x, w, b)


class FromReshapedGemm(Rule):
    """``Reshape(Gemm(Reshape(x), W, b))`` becomes ``x W + b``.

    Where the reshapes only gather the leading axes of x into rows and spread them out again.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var, rows: Var, w: Const, b: Const, shape: Var) -> Op:
        product = op.Gemm(op.Reshape(x, rows, _name="flat"), w, b, _name="gemm")
        return op.Reshape(product, shape, _name="spread")

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        w: ir.Value,
        flat: ir.Value,
        gemm: ir.Value,
        spread: ir.Value,
    ) -> ir.Value:
        _check_rows(x, flat, gemm, spread)
        return _sum(op, _affine.producer(gemm), x, w)


class BeforeActivation(Rule):
    """``f(Gemm(Reshape(x), W, b))`` becomes ``Reshape(f(x W + b))``, f of single elements.

    Where the Reshape only gathers the leading axes of x, at most one of unknown extent, into rows:
    so a row of products, as ``to-gemm`` writes it, is found again.
    """

    since = 7

    def pattern(self, op: PatternOps, x: Var, rows: Var, w: Const, b: Const, rest: Rest) -> Op:
        product = op.Gemm(op.Reshape(x, rows, _name="flat"), w, b, _name="gemm")
        return op.one_of(*ACTIVATIONS)(product, rest)

    def rewrite(
        self,
        op: Builder,
        root: ir.Node,
        x: ir.Value,
        w: ir.Value,
        flat: ir.Value,
        gemm: ir.Value,
        rest: tuple[ir.Value, ...],
    ) -> ir.Value:
        node = _affine.producer(gemm)
        before, rows, columns = graph.dims(x), graph.dims(flat), graph.dims(gemm)
        if before is None or rows is None or columns is None or len(before) < 3:
            raise Decline("no rows of more than two axes")
        if not isinstance(before[-1], int) or len(rows) != 2 or before[-1] != rows[-1]:
            raise Decline("the reshape does more than gather the leading axes")
        if sum(not isinstance(extent, int) for extent in before[:-1]) > 1:
            raise Decline("the shape cannot be written as a constant again")
        if not graph.sole_use(gemm) or not isinstance(columns[-1], int):
            raise Decline("something else reads the product")
        total = _sum(op, node, x, w)
        return op.Reshape(op.copy(root, [total, *rest]), np.array([-1, columns[-1]]))


class FromReshapedMatMul(Rule):
    """``Reshape(Reshape(x) W)`` becomes ``x W``, under the same condition."""

    def pattern(self, op: PatternOps, x: Var, rows: Var, w: Const, shape: Var) -> Op:
        product = op.MatMul(op.Reshape(x, rows, _name="flat"), w, _name="product")
        return op.Reshape(product, shape, _name="spread")

    def rewrite(
        self,
        op: Builder,
        x: ir.Value,
        w: ir.Value,
        flat: ir.Value,
        product: ir.Value,
        spread: ir.Value,
    ) -> ir.Value:
        _check_rows(x, flat, product, spread)
        return op.MatMul(x, w)


class WithoutBias(Rule):
    """``Gemm(x, W)`` becomes ``x W``, with a transposed or scaled W stored as it is used."""

    since = 11

    def pattern(self, op: PatternOps, x: Var, w: Const) -> Op:
        return op.Gemm(x, w)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, w: ir.Value) -> ir.Value:
        if graph.attr_int(root, "transA", 0):
            raise Decline("the columns of x are rows of the product")
        layer = _affine.read(root)
        plain = not graph.attr_int(root, "transB", 0) and graph.attr_float(root, "alpha", 1.0) == 1
        return op.MatMul(x, w if plain else layer.store(op, _matrix(layer)))


def _sum(op: Builder, gemm: ir.Node, x: ir.Value, w: ir.Value) -> ir.Value:
    """Return ``x W + b`` for the weights of a Gemm. Raises Decline where it transposes x."""
    if graph.attr_int(gemm, "transA", 0):
        raise Decline("the columns of x are rows of the product")
    layer = _affine.read(gemm)
    plain = not graph.attr_int(gemm, "transB", 0) and graph.attr_float(gemm, "alpha", 1.0) == 1
    product = op.MatMul(x, w if plain else layer.store(op, _matrix(layer)))
    if layer.bias is None:
        return product
    return op.Add(product, _affine.rounded(layer.bias, layer.weight.dtype))


def _matrix(layer: _affine.Layer) -> np.ndarray:
    weight = layer.weight.T if graph.attr_int(layer.node, "transB", 0) else layer.weight
    return weight * np.float64(graph.attr_float(layer.node, "alpha", 1.0))


def _check_rows(x: ir.Value, flat: ir.Value, product: ir.Value, spread: ir.Value) -> None:
    """Decline unless the result has the leading axes of x and the columns of the product."""
    before, rows = graph.dims(x), graph.dims(flat)
    columns, after = graph.dims(product), graph.dims(spread)
    if before is None or rows is None or columns is None or after is None:
        raise Decline("a rank is unknown")
    if len(rows) != 2 or len(columns) != 2 or len(before) < 3 or None in (*before, *after):
        raise Decline("a dimension is unknown")
    if before[-1] != rows[-1] or after != (*before[:-1], columns[-1]):
        raise Decline("the reshapes do more than gather and spread the leading axes")
