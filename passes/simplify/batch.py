"""Products over a batch that was flattened for their sake, taken over the batch as it is."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._facts import Extent, extents
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rule, Var
from onnxopt.shapes.extent import product

_Batch: TypeAlias = tuple[Extent, int]
_SWAP = (0, 2, 1)


class Flattened(Rule):
    """``Reshape(Reshape(a) Reshape(b))`` becomes ``a b`` for a and b of rank 4.

    Where the inner ones gather the two leading axes and the outer one spreads them out again. So
    for products under scales and sums, and of transposed matrices; what else is added is spread
    out by itself.
    """

    since = 15
    reads = ("Add", "Div", "MatMul", "Mul")

    def pattern(self, op: PatternOps, flat: Var, shape: Var) -> Op:
        return op.Reshape(flat, shape)

    def rewrite(self, op: Builder, root: ir.Node, flat: ir.Value) -> ir.Value:
        dims = extents(root.outputs[0])
        if dims is None or len(dims) != 4 or None in dims or not isinstance(dims[1], int):
            raise Decline("not spread to a known shape of four axes")
        return _computed(op, flat, (dims[0], dims[1]), dims[2:])


def _computed(op: Builder, flat: ir.Value, batch: _Batch, rest: tuple[Extent, ...]) -> ir.Value:
    """Build what a flattened batch of matrices is computed as, over the batch as it is."""
    node = flat.producer()
    if node is None or node.domain or not graph.sole_use(flat):
        raise Decline("not computed, or read by others")
    if extents(flat) != (product(batch), *rest):
        raise Decline("the matrices are parted otherwise")
    inputs = [value for value in node.inputs if value is not None]
    match node.op_type:
        case "MatMul":
            return op.MatMul(*(_lifted(op, value, batch) for value in inputs))
        case "Mul" | "Div" if graph.scalar(inputs[1]) is not None:
            return op.copy(node, [_computed(op, inputs[0], batch, rest), inputs[1]])
        case "Add":
            return _sum(op, inputs, batch, rest)
        case _:
            raise Decline("no product over a flattened batch")


def _sum(op: Builder, inputs: list[ir.Value], batch: _Batch, rest: tuple[Extent, ...]) -> ir.Value:
    for one, other in (inputs, inputs[::-1]):
        dims = extents(other)
        if dims is None or len(dims) != 3 or dims[0] != product(batch):
            continue
        if _is_product(one):
            target = op.Concat(np.array([-1, batch[1]]), op.Shape(other, start=1), axis=0)
            return op.Add(_computed(op, one, batch, rest), op.Reshape(other, target))
    raise Decline("the summand may be repeated")


def _is_product(value: ir.Value) -> bool:
    node = value.producer()
    while node is not None and node.op_type in ("Add", "Mul", "Div") and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node is not None and node.op_type == "MatMul"


def _lifted(op: Builder, flat: ir.Value, batch: _Batch) -> ir.Value:
    """Build the operand whose two leading axes, the batch, were gathered."""
    node = flat.producer()
    if node is None or node.domain:
        raise Decline("the operand was not flattened")
    source = node.inputs[0]
    before, after = extents(source), extents(flat)
    if source is None or before is None or after is None or len(after) != 3:
        raise Decline("a shape is unknown")
    match node.op_type:
        case "Reshape" if before[:2] == batch and after == (product(batch), *before[2:]):
            return source
        case "Transpose" if graph.attr_ints(node, "perm") == _SWAP:
            return op.Transpose(_lifted(op, source, batch), perm=[0, 1, 3, 2])
        case "Mul" | "Div" if len(node.inputs) == 2 and graph.scalar(node.inputs[1]) is not None:
            return op.copy(node, [_lifted(op, source, batch), node.inputs[1]])
        case _:
            raise Decline("the operand was not flattened")
