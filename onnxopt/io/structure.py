"""Whether a model hangs together: every value made once, before it is used, without a cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import onnx_ir as ir

from onnxopt.errors import ModelError

_NAMED_IN_CYCLE = 4
_DEEP = frozenset(
    (
        ir.AttributeType.TENSOR,
        ir.AttributeType.TENSORS,
        ir.AttributeType.GRAPH,
        ir.AttributeType.GRAPHS,
    )
)

Resolve = Callable[[ir.TensorProtocol], ir.TensorProtocol]


def settle(model: ir.Model, resolve: Resolve, path: Path) -> None:
    """Put every tensor through ``resolve``, and the nodes into an order in which they can run.

    One walk in linear time. Raises ModelError naming the value that nothing makes, the cycle, or
    the function that calls itself.
    """
    bodies: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for body in bodies:
        walk = _Walk(resolve, path)
        walk.graph(body)
        if not walk.sorted:
            _sort(body, path)
    _check_calls(model, path)


class _Walk:
    def __init__(self, resolve: Resolve, path: Path) -> None:
        self.resolve = resolve
        self.path = path
        self.sorted = True
        self.made: set[ir.Value] = set()

    def graph(self, graph: ir.Graph | ir.Function) -> None:
        self._check_inputs(graph)
        made = self.made
        made.update(graph.inputs)
        if isinstance(graph, ir.Graph):
            for value in graph.initializers.values():
                if value.const_value is not None:
                    value.const_value = self.resolve(value.const_value)
                made.add(value)
        for node in graph:
            for read in node.inputs:
                if read is not None and read not in made:
                    self._missing(node, read)
            if node.attributes:
                self._attributes(node)
            made.update(node.outputs)
        for output in graph.outputs:
            if output not in made:
                raise ModelError(
                    f"{self.path}: nothing in graph '{graph.name}' makes its output "
                    f"'{output.name}'; export the model again"
                )

    def _check_inputs(self, graph: ir.Graph | ir.Function) -> None:
        names = [value.name for value in graph.inputs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ModelError(f"{self.path}: graph '{graph.name}' has two inputs named '{twice}'")

    def _missing(self, node: ir.Node, value: ir.Value) -> None:
        if value.producer() is None:
            raise ModelError(
                f"{self.path}: nothing makes '{value.name}', which {describe(node)} reads; "
                "export the model again"
            )
        self.sorted = False

    def _attributes(self, node: ir.Node) -> None:
        changed: list[ir.Attr] = []
        for attribute in node.attributes.values():
            kind = attribute.type
            if kind not in _DEEP or attribute.is_ref():
                continue
            if kind is ir.AttributeType.TENSOR:
                tensor = self.resolve(attribute.value)
                if tensor is not attribute.value:
                    changed.append(with_value(attribute, tensor))
            elif kind is ir.AttributeType.TENSORS:
                changed.append(with_value(attribute, [self.resolve(t) for t in attribute.value]))
            else:
                for graph in graphs_of(attribute):
                    self.graph(graph)
        for attribute in changed:
            node.attributes[attribute.name] = attribute


def with_value(attribute: ir.Attr, value: object) -> ir.Attr:
    """Return the attribute with another value of the same type."""
    return ir.Attr(attribute.name, attribute.type, value, doc_string=attribute.doc_string)


def graphs_of(attribute: ir.Attr) -> Iterable[ir.Graph]:
    """Return the subgraphs an attribute holds."""
    if attribute.type is ir.AttributeType.GRAPH:
        return (attribute.as_graph(),)
    return attribute.as_graphs() if attribute.type is ir.AttributeType.GRAPHS else ()


def describe(node: ir.Node) -> str:
    """Name a node for a message, by its name or else its first output."""
    name = node.name or next((value.name for value in node.outputs if value.name), "")
    return f"{node.op_type} '{name}'"


def _sort(body: ir.Graph | ir.Function, path: Path) -> None:
    try:
        body.sort()
    except ValueError as error:
        cycle = next(filter(None, map(_cycle, _graphs(body))), [])
        names = " -> ".join(map(describe, cycle[:_NAMED_IN_CYCLE]))
        more = len(cycle) - _NAMED_IN_CYCLE
        rest = f" and {more} more" if more > 0 else ""
        raise ModelError(
            f"{path}: the graph has a cycle through {names}{rest}; export the model again"
        ) from error


def _graphs(body: ir.Graph | ir.Function) -> Iterator[ir.Graph | ir.Function]:
    yield body
    yield from body.subgraphs()


def _needs(graph: ir.Graph | ir.Function) -> dict[ir.Node, list[ir.Node]]:
    """Map every node of the graph to the nodes of the same graph that it, or a subgraph, reads."""
    members = set(graph)
    needs: dict[ir.Node, list[ir.Node]] = {}
    for node in graph:
        readers = [node]
        for attribute in node.attributes.values():
            for subgraph in graphs_of(attribute):
                readers.extend(subgraph.all_nodes())
        producers = (value.producer() for each in readers for value in each.inputs if value)
        needs[node] = [maker for maker in producers if maker is not None and maker in members]
    return needs


def _cycle(graph: ir.Graph | ir.Function) -> list[ir.Node]:
    """Return the nodes of one cycle in the order in which they feed each other, [] without one."""
    needs = _needs(graph)
    settled: set[ir.Node] = set()
    for start in needs:
        trail: dict[ir.Node, Iterator[ir.Node]] = {start: iter(needs[start])}
        while trail and start not in settled:
            node = next(reversed(trail))
            follow = next((maker for maker in trail[node] if maker not in settled), None)
            if follow is None:
                settled.add(node)
                del trail[node]
            elif follow in trail:
                nodes = list(trail)
                return nodes[nodes.index(follow) :][::-1]
            else:
                trail[follow] = iter(needs[follow])
    return []


def _check_calls(model: ir.Model, path: Path) -> None:
    """Refuse functions that call each other in a circle: nothing could inline or run them."""
    functions = model.functions
    calls = {
        key: [node.op_identifier() for node in function.all_nodes()]
        for key, function in functions.items()
    }
    waiting = {key: {call for call in made if call in functions} for key, made in calls.items()}
    callers: dict[ir.OperatorIdentifier, list[ir.OperatorIdentifier]] = {key: [] for key in calls}
    for key, made in waiting.items():
        for call in made:
            callers[call].append(key)
    ready = [key for key, made in waiting.items() if not made]
    while ready:
        done = ready.pop()
        del waiting[done]
        for caller in callers[done]:
            waiting[caller].discard(done)
            if not waiting[caller]:
                ready.append(caller)
    if waiting:
        domain, name, _ = next(iter(waiting))
        raise ModelError(f"{path}: function '{domain}::{name}' ends up calling itself")
