"""Parts of a model as models of their own."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import cast

import onnx_ir as ir

from onnxopt.graph import nested, subgraphs


def reads(node: ir.Node) -> list[ir.Value]:
    """Return every value that a node reads from the graph it stands in.

    Values that the graphs inside it (the bodies of If, Loop, Scan) take from outside count too.
    """
    own = [value for value in node.inputs if value is not None]
    return own + list(_reads_within(node)) if node.attributes.data else own


def _reads_within(node: ir.Node) -> Iterator[ir.Value]:
    inner = {id(graph) for body in subgraphs(node) for graph in nested(body)}
    for body in subgraphs(node):
        for graph in nested(body):
            for inside in graph:
                for value in inside.inputs:
                    if value is not None and id(_home(value)) not in inner:
                        yield value
            for value in graph.outputs:
                if id(_home(value)) not in inner:
                    yield value


def _home(value: ir.Value) -> object:
    return value.graph


def part(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    outputs: Iterable[ir.Value],
    overridden: Container[int] = (),
) -> tuple[ir.Model, list[ir.Value]]:
    """Copy some nodes of the main graph, in order, into a model of their own.

    Returns the model and the values of the old graph that are its inputs, in order. Weights are
    shared with the old model, not copied, except that those whose ``id`` is in ``overridden`` are
    inputs. An output may be any value, even a weight or an input.
    """
    wanted = list(outputs)
    inputs, weights = _read_from_outside(nodes, wanted, overridden)
    graph = ir.GraphView(
        inputs,
        wanted,
        nodes=nodes,
        initializers=weights,
        opset_imports=dict(model.graph.opset_imports),
        name=model.graph.name or "part",
    ).clone()
    functions = [function.clone() for function in model.functions.values()]
    return ir.Model(graph, ir_version=model.ir_version, functions=functions), inputs


class _Window(ir.GraphView):
    """A view that also finds the graphs inside its nodes, as a graph does."""

    def subgraphs(self) -> Iterator[ir.Graph]:
        """Yield every graph inside the nodes."""
        for node in self:
            for body in subgraphs(node):
                yield from nested(body)


def window(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    overridden: Container[int] = (),
) -> tuple[ir.Model, list[ir.Value]]:
    """Look at some nodes as ``part`` does, without copying them: to be opened, never changed.

    The inputs and outputs of the result are its own, named alike, and have no types yet.
    """
    inputs, weights = _read_from_outside(nodes, outputs, overridden)
    return _view(model, nodes, outputs, inputs, weights), inputs


def _view(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    inputs: Sequence[ir.Value],
    weights: Sequence[ir.Value],
) -> ir.Model:
    view = _Window(
        [ir.Value(name=value.name, type=value.type, shape=value.shape) for value in inputs],
        [ir.Value(name=value.name) for value in outputs],
        nodes=nodes,
        initializers=weights,
        opset_imports=dict(model.graph.opset_imports),
        name=model.graph.name or "part",
    )
    graph = cast(ir.Graph, view)  # a model takes one in a graph's place
    functions = list(model.functions.values())
    return ir.Model(graph, ir_version=model.ir_version, functions=functions)


def exposing(model: ir.Model, outputs: Sequence[ir.Value]) -> ir.Model:
    """Look at a model as one that returns these values of its main graph: to be opened only.

    It takes all the inputs of the model, and computes nothing that the values do not depend on.
    """
    wanted = {id(value) for value in outputs}
    nodes: list[ir.Node] = []
    for node in reversed(model.graph):
        if any(id(value) in wanted for value in node.outputs):
            wanted |= {id(value) for value in reads(node)}
            nodes.append(node)
    return _view(model, nodes[::-1], outputs, model.graph.inputs, _weights(model, wanted))


def _weights(model: ir.Model, wanted: Container[int]) -> list[ir.Value]:
    return [value for value in model.graph.initializers.values() if id(value) in wanted]


def _read_from_outside(
    nodes: Sequence[ir.Node], outputs: Sequence[ir.Value], overridden: Container[int]
) -> tuple[list[ir.Value], list[ir.Value]]:
    """Return the inputs and the weights of some nodes, each once, in the order of first use."""
    made = {id(value) for node in nodes for value in node.outputs}
    inputs: dict[int, ir.Value] = {}
    weights: dict[int, ir.Value] = {}
    for value in itertools.chain((v for node in nodes for v in reads(node)), outputs):
        if id(value) not in made:
            held = value.is_initializer() and value.const_value is not None
            held = held and id(value) not in overridden
            (weights if held else inputs)[id(value)] = value
    return list(inputs.values()), list(weights.values())
