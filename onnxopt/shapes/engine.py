"""Walks a graph and asks each node's row; holds what is known of the values, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import onnx_ir as ir

from onnxopt.shapes.annotations import annotated, merge
from onnxopt.shapes.call import Call, Row
from onnxopt.shapes.constants import constant_of, dims_of, small_content
from onnxopt.shapes.contents import followed
from onnxopt.shapes.demand import needed_for_content
from onnxopt.shapes.dim import hidden
from onnxopt.shapes.fact import NOTHING, Content, Contradiction, Fact
from onnxopt.shapes.fallback import infer_by_schema
from onnxopt.shapes.table import TABLE

MALFORMED = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)
"""What a row may run into at a node that breaks its operator's definition."""
_DEEPEST = 32
_HIDDEN = re.compile(r"\?([^#]*?)\.(\d+)#[0-9a-f]+")


class Engine:
    """Facts by value, for as long as the graph stays as it is.

    ``free`` are the names that the model's inputs give to extents: an inner annotation that claims
    a number for an expression over them is stale. ``assumed`` facts are taken instead of what would
    be inferred; ``impossible`` are the nodes that cannot run on what is known of their inputs.
    """

    def __init__(
        self,
        opsets: Mapping[str, int] | None = None,
        inputs_count: bool = False,
        free: frozenset[str] = frozenset(),
        functions: frozenset[tuple[str, str]] = frozenset(),
        assumed: Mapping[ir.Value, Fact] | None = None,
    ) -> None:
        self.opsets = opsets
        self.inputs_count = inputs_count
        self.free = free
        self.functions = functions
        self.facts: dict[ir.Value, Fact] = {}
        self.derived: dict[ir.Value, None] = {}
        self.stops: dict[ir.Node, str] = {}
        self.assumed = assumed or {}
        self.impossible: set[ir.Node] = set()
        self.depth = 0
        self._visited: set[ir.Node] = set()
        self._open: set[ir.Value] = set()
        self._recording = True

    def opset(self, node: ir.Node) -> int:
        """Return the version of a node's operator set, the newest where nobody says."""
        if node.version is not None:
            return node.version
        imports = self.opsets
        if imports is None:
            imports = node.graph.opset_imports if node.graph is not None else {}
        return imports.get(node.domain, 1000)

    def constant(self, value: ir.Value) -> ir.TensorProtocol | None:
        """Return the tensor that a value always is; None where it may be another one."""
        return constant_of(value, self.inputs_count)

    def fact(self, value: ir.Value) -> Fact:
        """Return what is known of a value: inferred, or else as it is annotated."""
        fact = self.facts.get(value)
        if fact is None:
            tensor = self.constant(value)
            fact = annotated(value) if tensor is None else Fact(tensor.dtype, dims_of(tensor))
            fact = self.facts[value] = named(value, fact)
        return fact

    def content(self, value: ir.Value) -> Content | None:
        """Return the elements of a small tensor, where they are known."""
        fact = self.fact(value)
        if fact.content is not None or (fact.shape and fact.dtype and not _small(fact)):
            return fact.content
        tensor = self.constant(value)
        if tensor is not None:
            content = small_content(tensor)
            if content is not None:
                self.facts[value] = fact._replace(content=content)
            return content
        producer = value.producer()
        if producer is None or producer in self._visited:
            return None
        self._demand(value)
        return self.facts[value].content

    def _demand(self, value: ir.Value) -> None:
        recording, self._recording = self._recording, False
        for node in needed_for_content(value, self._visited, self.fact):
            self.visit(node)
        self._recording = recording

    def body(self, graph: ir.Graph, inputs: Sequence[Fact]) -> list[Fact]:
        """Infer a subgraph with these facts for its inputs; return those of its outputs."""
        if self.depth >= _DEEPEST:
            raise Contradiction(f"subgraphs are nested more than {_DEEPEST} deep")
        self.depth += 1
        for value, fact in zip(graph.inputs, inputs, strict=False):
            self._note(value, named(value, merge(value, fact, self.free)))
        self.walk(graph)
        self.depth -= 1
        return [self.fact(value) for value in graph.outputs]

    def walk(self, nodes: Iterable[ir.Node]) -> None:
        """Visit nodes in their order."""
        for node in nodes:
            self.visit(node)

    def visit(self, node: ir.Node) -> None:
        """Infer one node's outputs."""
        facts = [None if value is None else self.fact(value) for value in node.inputs]
        call = Call(node, facts, self)
        self._visited.add(node)
        self.stops.pop(node, None)
        row = TABLE.get((node.domain, node.op_type)) or self._other(node)
        if self.assumed and not self.assumed.keys().isdisjoint(node.outputs):
            row = self._assumption
        results: Sequence[Fact] = ()
        contradicted = ""
        depth = self.depth
        try:
            result = row(call)
            results = (result,) if isinstance(result, Fact) else result
        except Contradiction as error:
            contradicted = str(error)
            self.impossible.add(node)
        except MALFORMED as error:
            contradicted = f"it does not follow its operator's definition ({error})"
        self.depth = depth
        lost = self._store(node, results)
        if contradicted:
            self.stops[node] = readable(contradicted)
        self._explain(node, call, lost)

    def _assumption(self, call: Call) -> Sequence[Fact]:
        return [self.assumed.get(value, NOTHING) for value in call.node.outputs]

    def _other(self, node: ir.Node) -> Row:
        if (node.domain, node.op_type) in self.functions:
            return _function
        return infer_by_schema

    def _store(self, node: ir.Node, results: Sequence[Fact]) -> list[ir.Value]:
        """Note the facts of a node's outputs; return the outputs of which something is unknown."""
        lost = []
        for index, value in enumerate(node.outputs):
            fact = results[index] if index < len(results) else NOTHING
            fact = merge(value, fact, self.free)
            if value.name == "":  # an optional output that nobody wants
                continue
            if fact.type is None and (
                fact.dtype is None or fact.shape is None or None in fact.shape
            ):
                lost.append(value)
            self._note(value, named(value, fact))
        return lost

    def _note(self, value: ir.Value, fact: Fact) -> None:
        self.facts[value] = fact
        if self._recording:
            self.derived[value] = None

    def _explain(self, node: ir.Node, call: Call, lost: list[ir.Value]) -> None:
        """Note why something is unknown, unless that follows from what was unknown before."""
        follows = not self._open.isdisjoint(node.inputs)
        if lost and node not in self.stops and (call.inherent or not follows):
            self.stops[node] = readable(
                self._blame_input(node)
                or call.reason
                or ("its output does not follow from what is known of its inputs")
            )
        if lost or node in self.stops:
            self._open.update(node.outputs)
        elif follows:
            self._open.update(value for value in node.outputs if self._blank(value))

    def _blank(self, value: ir.Value) -> bool:
        """Return whether a value's content would be followed if it were known."""
        fact = self.facts.get(value, NOTHING)
        return fact.content is None and followed(fact.dtype, fact.shape) is not None

    def _blame_input(self, node: ir.Node) -> str:
        for value in node.inputs:
            if value is None or value.producer() is not None:
                continue
            fact = self.facts[value]
            if fact.type is None and (fact.dtype is None or fact.shape is None):
                return f"the shape of '{value.name}' is not declared"
        return ""


def _small(fact: Fact) -> bool:
    return followed(fact.dtype, fact.shape) is not None


def named(value: ir.Value, fact: Fact) -> Fact:
    """Give every unknown extent a symbol of its own, which is equal only to itself."""
    if fact.shape is None or None not in fact.shape:
        return fact
    name = value.name or ""
    shape = tuple(
        hidden(value, name, axis) if size is None else size for axis, size in enumerate(fact.shape)
    )
    return fact._replace(shape=shape)


def readable(reason: str) -> str:
    """Return a reason in which extents without a name are called by their place."""
    return _HIDDEN.sub(r"axis \2 of '\1'", reason)


def _function(call: Call) -> Fact:
    call.stop("it calls a function of the model's own, which is to be inlined first")
    return NOTHING
