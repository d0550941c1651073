"""Residual branches that go as a whole when nothing is left of the channels that end them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import onnx_ir as ir

from onnxopt import graph
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Branch:
    """``sum = x + f(x)``; without f, x takes the place of the sum."""

    sum: ir.Node
    kept: int
    """Which operand of the sum x is."""
    nodes: frozenset[ir.Node]
    """What computes f and nothing else."""


def branch(layer: Layer) -> Branch | None:
    """Return the branch that a layer ends; None where its output is not just added to another."""
    beside = readers.shortcut(layer)
    if beside is None:
        return None
    add, index = next(iter(layer.output.uses()))
    total = add.outputs[0]
    if not graph.same_shape(beside, total) or not graph.replaceable(total, beside):
        return None
    last = layer.output.producer()
    assert last is not None
    return Branch(sum=add, kept=1 - index, nodes=frozenset(graph.needed_by(last)))


def leave_out(model: ir.Model, branches: Iterable[Branch]) -> None:
    """Take branches out of a model that has sums of the same names."""
    makers = {value.name: node for node in model.graph for value in node.outputs}
    for each in branches:
        node = makers.get(each.sum.outputs[0].name)
        kept = None if node is None or node.graph is None else node.inputs[each.kept]
        if node is not None and kept is not None and graph.replaceable(node.outputs[0], kept):
            keep_only(node, kept)


def keep_only(add: ir.Node, kept: ir.Value) -> None:
    """Let one operand take the place of a sum; what only the other needed goes with it."""
    after = [use.node for use in add.outputs[0].uses()]
    graph.replace(add.outputs[0], kept)
    _remove(add)
    for user in after:
        _leave_out_twice(user, kept)


def _leave_out_twice(node: ir.Node, x: ir.Value) -> None:
    """Take a Relu out that follows another."""
    maker = x.producer()
    twice = maker is not None and maker.op_type == node.op_type == "Relu"
    if twice and graph.replaceable(node.outputs[0], x):
        graph.replace(node.outputs[0], x)
        _remove(node)


def _remove(node: ir.Node) -> None:
    """Remove a node that nothing uses, and the nodes and weights that only it used."""
    home = node.graph
    assert isinstance(home, ir.Graph)
    read = [value for gone in graph.needed_by(node) for value in gone.inputs if value is not None]
    graph.remove_dead([node])
    for value in read:
        if value.is_initializer() and not graph.used(value):
            home.initializers.pop(value.name or "", None)
