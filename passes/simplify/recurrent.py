"""Recurrent layers that start from zeros, which is where they start by themselves."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify._index import constantly
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rest, Rule, Var

_LAYERS = ("GRU", "LSTM", "RNN")
_STATES = (5, 6)
"""The inputs with the hidden state and an LSTM's cell state at the start."""


class Outputs(Rule):
    """An initial state of zeros is left out where nothing reads the final ones."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> Op:
        return op.one_of(*_LAYERS)(x, rest)

    def rewrite(self, op: Builder, root: ir.Node) -> ir.Value:
        if any(graph.used(value) for value in root.outputs[1:]):
            raise Decline("a final state is read")
        return _from_zeros(op, root, 1).outputs[0]


class OutputsAndState(Rule):
    """The same where the final hidden state is read too."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> tuple[object, object]:
        layer = op.one_of(*_LAYERS)(x, rest)
        return layer, layer.output(1)

    def rewrite(self, op: Builder, root: ir.Node) -> tuple[ir.Value, ...]:
        if any(graph.used(value) for value in root.outputs[2:]):
            raise Decline("the final cell state is read")
        return tuple(_from_zeros(op, root, 2).outputs)


class OutputsAndStates(Rule):
    """The same where an LSTM's final cell state is read too."""

    since = 7

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> tuple[object, object, object]:
        layer = op.LSTM(x, rest)
        return layer, layer.output(1), layer.output(2)

    def rewrite(self, op: Builder, root: ir.Node) -> tuple[ir.Value, ...]:
        return tuple(_from_zeros(op, root, 3).outputs)


def _from_zeros(op: Builder, root: ir.Node, outputs: int) -> ir.Node:
    inputs = list(root.inputs)
    for place in _STATES:
        if place < len(inputs) and constantly(inputs[place]) == 0:
            inputs[place] = None
    if inputs == list(root.inputs):
        raise Decline("no state of zeros")
    while inputs[-1] is None:
        inputs.pop()
    return op.node(root.op_type, inputs, dict(root.attributes), outputs=outputs)
