"""Parts of a model as models of their own."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

import onnx_ir as ir

from onnxopt.graph import nested, subgraphs


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """Yield every value that a node reads from the graph it stands in.

    Values that the graphs inside it (the bodies of If, Loop, Scan) take from outside count too.
    """
    yield from (value for value in node.inputs if value is not None)
    if not node.attributes:
        return
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
    made = {id(value) for node in nodes for value in node.outputs}
    inputs: dict[int, ir.Value] = {}
    weights: dict[int, ir.Value] = {}
    for value in [v for node in nodes for v in reads(node)] + wanted:
        if id(value) in made:
            continue
        held = value.is_initializer() and value.const_value is not None
        held = held and id(value) not in overridden
        (weights if held else inputs)[id(value)] = value
    view = ir.GraphView(
        list(inputs.values()),
        wanted,
        nodes=nodes,
        initializers=list(weights.values()),
        opset_imports=dict(model.graph.opset_imports),
        name=model.graph.name or "part",
    )
    functions = [function.clone() for function in model.functions.values()]
    result = ir.Model(view.clone(), ir_version=model.ir_version, functions=functions)
    return result, list(inputs.values())
