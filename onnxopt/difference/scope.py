"""A graph made ready to be matched with another: its computing nodes, constants apart."""

from __future__ import annotations

import collections
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.graph import has_bodies, tensor
from onnxopt.segments import reads

Slot = int
"""The place of an input at a node; what graphs inside the node take from outside comes after."""

_SMALL = 1024
"""Bytes up to which weights are told apart by all of their contents."""

_SAMPLE = 64
"""Elements that are looked at in each of three places of a larger weight."""


class Scope:
    """One graph. Nodes that hold a constant count as constants, as initializers do."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._constants: dict[int, ir.TensorProtocol | None] = {}
        self.nodes = [node for node in graph if not self._holds(node)]
        self.order = {id(node): at for at, node in enumerate(self.nodes)}
        self.readers: dict[int, list[tuple[ir.Node, Slot]]] = collections.defaultdict(list)
        self._taken = {id(node): tuple(_taken(node)) for node in self.nodes}
        self._fixed: set[int] = set()
        for node in self.nodes:
            for slot, value in enumerate(self.taken(node)):
                if value is not None:
                    self.readers[id(value)].append((node, slot))
            if not any(self.varies(value) for value in self.taken(node)) and node.inputs:
                self._fixed.update(map(id, node.outputs))

    def _holds(self, node: ir.Node) -> bool:
        return len(node.outputs) == 1 and self.constant(node.outputs[0]) is not None

    def constant(self, value: ir.Value | None) -> ir.TensorProtocol | None:
        """Return the constant behind a value, None where it is computed or fed."""
        if value is None:
            return None
        if id(value) not in self._constants:
            self._constants[id(value)] = tensor(value)
        return self._constants[id(value)]

    def varies(self, value: ir.Value | None) -> bool:
        """Return whether a value may change: it is no constant and not computed from only those."""
        return value is not None and id(value) not in self._fixed and self.constant(value) is None

    def taken(self, node: ir.Node) -> Sequence[ir.Value | None]:
        """Return the inputs of a node, then what the graphs inside it take from outside."""
        return self._taken[id(node)]

    def producer(self, value: ir.Value | None) -> ir.Node | None:
        """Return the node of this graph that computes a value."""
        node = None if value is None else value.producer()
        return node if node is not None and id(node) in self.order else None


def _taken(node: ir.Node) -> Iterator[ir.Value | None]:
    yield from node.inputs
    if has_bodies(node):
        yield from list(reads(node))[sum(value is not None for value in node.inputs) :]


def weight_key(held: ir.TensorProtocol) -> Hashable:
    """Return what tells weights apart without reading a large one: it is looked at in places."""
    shape = tuple(held.shape.numpy())
    if held.dtype == ir.DataType.STRING:
        return held.dtype, shape, repr(held.numpy().reshape(-1)[:_SAMPLE].tolist())
    if held.nbytes <= _SMALL:
        return held.dtype, shape, held.tobytes()
    flat = held.numpy().reshape(-1)
    middle = flat.size // 2
    parts = (flat[:_SAMPLE], flat[middle : middle + _SAMPLE], flat[-_SAMPLE:])
    return held.dtype, shape, np.concatenate(parts).tobytes()


def form_key(held: ir.TensorProtocol) -> Hashable:
    """Return what stays of a weight when it is trained again or stored in another precision.

    Of large ones that is the shape; small integers are sizes, axes and the like and stay whole.
    """
    shape = tuple(held.shape.numpy())
    small = held.dtype.is_integer() and held.nbytes <= _SMALL and held.dtype.bitwidth >= 32
    return shape, held.tobytes() if small else None


def attribute_key(attribute: ir.Attr) -> Hashable:
    """Return an attribute in a form to be compared; of a graph only its operators."""
    if attribute.is_ref():
        return "reference", attribute.ref_attr_name
    match attribute.type:
        case ir.AttributeType.TENSOR:
            return weight_key(attribute.as_tensor())
        case ir.AttributeType.TENSORS:
            return tuple(weight_key(each) for each in attribute.as_tensors())
        case ir.AttributeType.GRAPH:
            return tuple(node.op_identifier() for node in attribute.as_graph())
        case ir.AttributeType.GRAPHS:
            return tuple(len(graph) for graph in attribute.as_graphs())
        case _:
            value = attribute.value
            if isinstance(value, list | tuple):
                return tuple(value)
            return value if isinstance(value, Hashable) else repr(value)


def attributes_key(node: ir.Node) -> Hashable:
    """Return all attributes of a node in a form to be compared."""
    if not node.attributes:
        return ()
    return tuple((name, attribute_key(node.attributes[name])) for name in sorted(node.attributes))


def operator(node: ir.Node) -> tuple[str, str]:
    """Return the operator of a node, whatever its overload."""
    return ("" if node.domain == "ai.onnx" else node.domain), node.op_type
