"""Number the values of two graphs so that equal numbers mean equal contents."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Hashable, Iterator

import onnx_ir as ir

from onnxopt.graph import nested, subgraphs, tensor
from onnxopt.segments import reads

_SMALL = 4096
"""Bytes up to which weights are told apart by contents; larger ones by being the same object."""


@dataclasses.dataclass
class Numbering:
    """Numbers by ``id`` of the values of both graphs, and the pairs that need a closer look.

    A value that has one name in both graphs but is computed in two ways is a *joint*: it carries a
    number of its own in both, as if it were an input, and is owed a proof.
    """

    numbers: dict[int, int] = dataclasses.field(default_factory=dict)
    joints: list[tuple[ir.Value, ir.Value]] = dataclasses.field(default_factory=list)
    equal: int = 0
    """Values of one name that are computed in one way."""
    known: dict[Hashable, int] = dataclasses.field(default_factory=dict)
    weights: set[int] = dataclasses.field(default_factory=set)
    """The numbers of constants."""

    def of(self, value: ir.Value | None) -> int:
        """Return a value's number; constants and inputs get theirs when they are first met."""
        if value is None:
            return -1
        number = self.numbers.get(id(value))
        if number is None:
            constant = tensor(value)
            key = ("input", value.name) if constant is None else ("weight", contents(constant))
            number = self.intern(key)
            self.numbers[id(value)] = number
            if constant is not None:
                self.weights.add(number)
        return number

    def intern(self, key: Hashable) -> int:
        """Return the number of a key, a new one for a new key."""
        return self.known.setdefault(key, len(self.known))


def contents(held: ir.TensorProtocol) -> Hashable:
    """Return what stands for a tensor's contents without reading a large one."""
    if held.dtype == ir.DataType.STRING or held.nbytes > _SMALL:
        return "same", id(held)
    return held.dtype, tuple(held.shape.numpy()), held.tobytes()


def numbered(before: ir.Model, after: ir.Model, apart: frozenset[str]) -> Numbering:
    """Give numbers to the values of both graphs, in time linear in their size.

    Values whose names are in ``apart`` are no joints even if both graphs have them.
    """
    makers = [_makers(model.graph) for model in (before, after)]
    shared = (makers[0].keys() & makers[1].keys()) - apart
    while True:
        result = _attempt(
            before, after, {name: (makers[0][name], makers[1][name]) for name in shared}
        )
        if isinstance(result, Numbering):
            return result
        shared -= result  # the two graphs compute these in opposite orders


def _makers(graph: ir.Graph) -> dict[str, ir.Value]:
    return {
        value.name: value
        for node in graph
        for value in node.outputs
        if value.name and tensor(value) is None
    }


def _attempt(
    before: ir.Model, after: ir.Model, shared: dict[str, tuple[ir.Value, ir.Value]]
) -> Numbering | set[str]:
    """Visit nodes once all they read has a number, in both graphs; return names in a cycle."""
    result = Numbering()
    waiting: dict[int, int] = {}
    readers: dict[int, list[ir.Node]] = collections.defaultdict(list)
    nodes = [*before.graph, *after.graph]
    for node in nodes:
        needs = {id(need) for need in _needs(node, shared)}
        waiting[id(node)] = len(needs)
        for need in needs:
            readers[need].append(node)
    ready = collections.deque(node for node in nodes if not waiting[id(node)])
    raw: dict[int, int] = {}
    while ready:
        node = ready.popleft()
        key = _key(node, result)
        for at, value in enumerate(node.outputs):
            if tensor(value) is None:
                raw[id(value)] = result.intern((key, at))
                _settle(value, shared, raw, result)
        for reader in readers[id(node)]:
            waiting[id(reader)] -= 1
            if not waiting[id(reader)]:
                ready.append(reader)
    stuck = {v.name or "" for node in nodes if waiting[id(node)] for v in node.outputs}
    return stuck & shared.keys() or result


def _needs(node: ir.Node, shared: dict[str, tuple[ir.Value, ir.Value]]) -> Iterator[ir.Node]:
    for value in reads(node):
        for twin in shared.get(value.name or "", ()) or (value,):
            maker = twin.producer()
            if maker is not None:
                yield maker


def _settle(
    value: ir.Value,
    shared: dict[str, tuple[ir.Value, ir.Value]],
    raw: dict[int, int],
    result: Numbering,
) -> None:
    """Give a value its number; both of a pair at once, when the second of them is computed."""
    pair = shared.get(value.name or "")
    if pair is None:
        result.numbers[id(value)] = raw[id(value)]
        return
    first, second = pair
    if id(first) not in raw or id(second) not in raw:
        return
    number = raw[id(first)]
    if number == raw[id(second)]:
        result.equal += 1
    else:
        number = result.intern(("joint", value.name))
        result.joints.append(pair)
    result.numbers[id(first)] = result.numbers[id(second)] = number


def _key(node: ir.Node, result: Numbering) -> Hashable:
    """Return a node as its operator, its attributes and the numbers of what it reads."""
    inputs = [result.of(value) for value in node.inputs]
    while inputs and inputs[-1] == -1:
        inputs.pop()
    direct = sum(value is not None for value in node.inputs)
    captured = [result.of(value) for value in itertools.islice(reads(node), direct, None)]
    return node.op_identifier(), attributes(node), tuple(inputs), tuple(captured)


def attributes(node: ir.Node) -> Hashable:
    """Return a node's attributes, those in the graphs inside it too, in a form to be compared."""
    own = tuple(_attribute(node.attributes[name]) for name in sorted(node.attributes))
    bodies = [graph for body in subgraphs(node) for graph in nested(body)]
    return own, tuple(_body(graph) for graph in bodies)


def _body(graph: ir.Graph) -> Hashable:
    return (
        tuple(value.name for value in graph.inputs),
        tuple(value.name for value in graph.outputs),
        tuple(
            (name, None if value.const_value is None else contents(value.const_value))
            for name, value in graph.initializers.items()
        ),
        tuple(
            (
                node.op_identifier(),
                tuple(None if value is None else value.name for value in node.inputs),
                tuple(value.name for value in node.outputs),
                tuple(_attribute(node.attributes[name]) for name in sorted(node.attributes)),
            )
            for node in graph
        ),
    )


def _attribute(attribute: ir.Attr) -> Hashable:
    if attribute.is_ref():
        return attribute.name, "reference", attribute.ref_attr_name
    match attribute.type:
        case ir.AttributeType.TENSOR:
            return attribute.name, contents(attribute.as_tensor())
        case ir.AttributeType.GRAPH | ir.AttributeType.GRAPHS:
            return attribute.name, "graph"
        case _:
            value = attribute.value
            return attribute.name, tuple(value) if isinstance(value, list) else _hashable(value)


def _hashable(value: object) -> Hashable:
    return value if isinstance(value, Hashable) else repr(value)
