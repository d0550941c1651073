"""Residual blocks: what computes f in ``y = x + f(x)``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import onnx_ir as ir

from onnxopt import graph
from onnxopt.pruning.branches import keep_only
from onnxopt.segments import reads


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """``output = kept + f(kept)``; without the block, ``kept`` takes the place of ``output``."""

    add: ir.Node
    kept: ir.Value
    nodes: tuple[ir.Node, ...]
    """What computes f and nothing else, last first."""

    @property
    def output(self) -> ir.Value:
        """Return what the block makes."""
        return self.add.outputs[0]

    def leave_out(self) -> None:
        """Take the block out of the graph."""
        keep_only(self.add, self.kept)


def blocks(model: ir.Model, least: int) -> Iterator[Block]:
    """Yield the residual blocks of the main graph with weights of at least so many elements."""
    places = {node: at for at, node in enumerate(model.graph)}
    for node in model.graph:
        if node.domain or node.op_type != "Add":
            continue
        one, other = node.inputs
        for kept, made in ((one, other), (other, one)):
            if kept is None or made is None or not _shaped(kept, node.outputs[0]):
                continue
            needed = set(graph.needed_by(node))
            nodes = [inner for inner in _between(kept, made, places) if inner in needed]
            if any(_weighs(inner, least) for inner in nodes):
                yield Block(add=node, kept=kept, nodes=tuple(nodes))


def _shaped(kept: ir.Value, output: ir.Value) -> bool:
    """Return whether a value may stand for the sum, whose shape is that of its larger operand."""
    same = graph.same_shape(kept, output) and graph.tensor(kept) is None
    return same and graph.replaceable(output, kept)


def _between(kept: ir.Value, made: ir.Value, places: dict[ir.Node, int]) -> list[ir.Node]:
    """Return the nodes that make a value from ``kept``, last first; none where it does not."""
    maker = kept.producer()
    first = -1 if maker is None else places.get(maker, -1)
    found: set[ir.Node] = set()
    pending, met = [made], False
    while pending:
        node = pending.pop().producer()
        if node is None or node in found or places.get(node, -1) <= first:
            continue
        found.add(node)
        for value in reads(node):
            met = met or value is kept
            if value is not kept:
                pending.append(value)
    return sorted(found, key=lambda node: -places[node]) if met else []


def _weighs(node: ir.Node, least: int) -> bool:
    held = (graph.tensor(value) for value in node.inputs)
    return any(tensor is not None and tensor.size >= least for tensor in held)
