"""Products over a batch that was flattened for their sake, taken over the batch as it is."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._facts import Extent, extents
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rule, Var
from onnxopt.shapes.extent import product

_SWAP = (0, 2, 1)


class Flattened(Rule):
    """``Reshape(Reshape(a) Reshape(b))`` becomes ``a b`` for a and b of rank 4.

    Where the inner ones gather the two leading axes and the outer one spreads them out again. Under
    a transposition of the last axes and a scale, too.
    """

    since = 13

    def pattern(self, op: PatternOps, a: Var, b: Var, shape: Var) -> Op:
        return op.Reshape(op.MatMul(a, b), shape)

    def rewrite(self, op: Builder, root: ir.Node, a: ir.Value, b: ir.Value) -> ir.Value:
        batch = _spread(root.outputs[0])
        return op.MatMul(_lifted(op, a, batch), _lifted(op, b, batch))


class FlattenedSum(Rule):
    """``Reshape(Reshape(a) Reshape(b) + c)`` becomes ``a b + Reshape(c)``, likewise."""

    since = 13

    def pattern(self, op: PatternOps, a: Var, b: Var, c: Var, shape: Var) -> Op:
        return op.Reshape(op.MatMul(a, b, _name="scores") + c, shape)

    def rewrite(
        self,
        op: Builder,
        root: ir.Node,
        a: ir.Value,
        b: ir.Value,
        c: ir.Value,
        shape: ir.Value,
        scores: ir.Value,
    ) -> ir.Value:
        batch = _spread(root.outputs[0])
        if extents(c) is None or extents(c) != extents(scores):
            raise Decline("the summand may be repeated")
        summand = op.copy(root, [c, shape])
        return op.Add(op.MatMul(_lifted(op, a, batch), _lifted(op, b, batch)), summand)


def _spread(result: ir.Value) -> tuple[Extent, Extent]:
    dims = extents(result)
    if dims is None or len(dims) != 4 or None in dims:
        raise Decline("not spread to a known shape of four axes")
    return dims[0], dims[1]


def _lifted(op: Builder, flat: ir.Value, batch: tuple[Extent, Extent]) -> ir.Value:
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
