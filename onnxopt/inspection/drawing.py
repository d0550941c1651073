"""The graph of a small model, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onnxopt.costs.count import name_of
from onnxopt.inspection.layers import Layer
from onnxopt.page import END, Edge, Node, Plot, family, graph, undrawn
from onnxopt.segments import reads


def drawing(main: ir.Graph, layers: Sequence[Layer]) -> Plot | str:
    """Draw the nodes of a graph with its inputs and outputs; say why where that cannot be.

    Constants are left out, and what the bodies of control flow compute.
    """
    held = [node for node in main if node.op_type != "Constant" or node.domain]
    inputs = [value for value in main.inputs if not value.is_initializer()]
    why = undrawn(len(held) + len(inputs) + len(main.outputs))
    if why is not None or not held:
        return why or "there is no node to draw"
    known = {layer.name: layer for layer in layers}
    boxes = [Node(f"input {at}", value.name or "", END) for at, value in enumerate(inputs)]
    boxes += [_box(at, node, known.get(name_of(node))) for at, node in enumerate(held)]
    boxes += [Node(f"output {at}", v.name or "", END) for at, v in enumerate(main.outputs)]
    makers = {value: f"input {at}" for at, value in enumerate(inputs)}
    makers |= {value: str(at) for at, node in enumerate(held) for value in node.outputs}
    return graph(boxes, list(dict.fromkeys(_edges(main, held, makers))))


def _box(at: int, node: ir.Node, layer: Layer | None) -> Node:
    shape = "" if layer is None else layer.outputs
    title = node.name or ""
    if layer is not None:
        title += f": {layer.inputs}; {layer.weights} to {layer.outputs}"
    return Node(str(at), node.op_type, family(node.op_type), shape, title)


def _edges(main: ir.Graph, held: list[ir.Node], makers: dict[ir.Value, str]) -> Iterator[Edge]:
    for at, node in enumerate(held):
        for value in reads(node):
            if value in makers:
                yield Edge(makers[value], str(at), value.name or "")
    for at, value in enumerate(main.outputs):
        if value in makers:
            yield Edge(makers[value], f"output {at}", value.name or "")
