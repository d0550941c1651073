"""Compute equal things once."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph, ops
from onnxopt.base import Context, Pass

_INLINE_BYTES = 1024
Key = tuple[object, ...]


class CommonSubexpressions(Pass):
    """Replace a node by an earlier one with the same operator, inputs and attributes."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Merge in every graph by itself; return the number of nodes that went."""
        return sum(_merge(home, context) for home in list(graph.graphs(model)))


def _merge(home: ir.Graph, context: Context) -> int:
    seen: dict[Key, ir.Node] = {}
    changes = 0
    for node in list(home):
        key = _key(node)
        if key is None:
            continue
        first = seen.setdefault(key, node)
        if first is node or not _mergeable(node, first):
            continue
        if context.gate.permit("cse", node.outputs[0].name or ""):
            for old, new in zip(node.outputs, first.outputs, strict=True):
                graph.replace(old, new)
            graph.remove_dead([node])
            changes += 1
    return changes


def _mergeable(node: ir.Node, first: ir.Node) -> bool:
    pairs = list(zip(node.outputs, first.outputs, strict=True))
    return all(graph.replaceable(old, new) for old, new in pairs)


def _key(node: ir.Node) -> Key | None:
    """Return what decides a node's outputs; None where equal keys would not mean equal outputs."""
    if not ops.pure(node) or graph.has_bodies(node):
        return None
    held = node.attributes.data
    attributes = tuple(sorted((name, _contents(a)) for name, a in held.items())) if held else ()
    outputs = tuple([bool(value.name) for value in node.outputs])
    inputs = tuple(map(id, node.inputs))
    if len(inputs) == 2 and ops.key(node) in ops.COMMUTATIVE:
        inputs = (min(inputs), max(inputs))
    return (*node.op_identifier(), inputs, attributes, outputs)


def _contents(attribute: ir.Attr) -> str:
    if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
        held = attribute.as_tensor()
        small = held.dtype != ir.DataType.STRING and held.nbytes <= _INLINE_BYTES
        same = held.tobytes().hex() if small else id(held)
        return f"{held.dtype} {held.shape} {same}"
    return f"{attribute.type} {attribute.ref_attr_name} {attribute.value!r}"
