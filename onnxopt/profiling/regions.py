"""Two graphs that compute the same, cut along the values that both have.

What lies before a value and behind those that both graphs have is its region: the nodes of one
graph that do what a few nodes of the other do. Values are known by their names, which rewriting
keeps where it can; names of nodes do not matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir

from onnxopt import ops
from onnxopt.graph import nested


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """A node by the names around it."""

    node: ir.Node
    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    """Those of the values that its subgraphs take from outside too."""
    outputs: tuple[str, ...]
    depth: int
    """How many nodes with subgraphs it lies in."""
    constant: bool
    """Whether it could be computed before any input is known."""


def steps(model: ir.Model) -> list[Step]:
    """Return the nodes of a model, those in subgraphs behind the node that holds them."""
    constants: set[str] = set()
    for graph in (model.graph, *nested(model.graph)):
        constants |= {name for name in graph.initializers if name not in _inputs(graph)}
    return list(_steps(model.graph, constants, 0))


def _inputs(graph: ir.Graph) -> set[str | None]:
    return {value.name for value in graph.inputs}


def _steps(graph: ir.Graph, constants: set[str], depth: int) -> Iterator[Step]:
    for node in graph:
        inner = [
            step
            for attribute in node.attributes.values()
            for body in _bodies(attribute)
            for step in _steps(body, constants, depth + 1)
        ]
        made = {name for step in inner for name in step.outputs}
        read = [value.name for value in node.inputs if value is not None and value.name]
        outer = [name for step in inner for name in step.inputs if name not in made]
        outputs = tuple(value.name for value in node.outputs if value.name)
        constant = (
            (node.domain, node.op_type) not in ops.RANDOM | ops.KEPT
            and not inner
            and all(name in constants for name in read)
        )
        if constant:
            constants.update(outputs)
        yield Step(
            node=node,
            name=node.name or "",
            op_type=node.op_type,
            domain=node.domain,
            inputs=tuple(dict.fromkeys([*read, *outer])),
            outputs=outputs,
            depth=depth,
            constant=constant,
        )
        yield from inner


def _bodies(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.type == ir.AttributeType.GRAPH:
        return [attribute.as_graph()]
    return attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else []


def producers(graph: Iterable[Step]) -> dict[str, Step]:
    """Return the node that computes each value."""
    return {name: step for step in graph for name in step.outputs}


def region(value: str, made: Mapping[str, Step], bounds: Collection[str]) -> list[Step]:
    """Return the nodes that compute a value from the values in ``bounds``, in the graph's order.

    Constant nodes and those that only they lead to are no part of it.
    """
    found: dict[Step, None] = {}
    ahead = [value]
    while ahead:
        step = made.get(ahead.pop())
        if step is None or step.constant or step in found:
            continue
        found[step] = None
        ahead += [name for name in step.inputs if name not in bounds]
    return list(reversed(found))
