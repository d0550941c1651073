"""What a model is, so that two can be compared by ``==``."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir

from onnxopt.graph import dims, graphs

_COMPARED = 1 << 20
"""Bytes up to which tensors are compared by their contents."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Contents:
    """A tensor as itself: equal when it is the same object, or small and the same numbers."""

    tensor: ir.TensorProtocol

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Contents):
            return NotImplemented
        one, two = self.tensor, other.tensor
        if one is two:
            return True
        if one.dtype != two.dtype or one.shape != two.shape or one.nbytes > _COMPARED:
            return False
        return bool(np.array_equal(one.numpy(), two.numpy())) or one.tobytes() == two.tobytes()

    __hash__ = None  # type: ignore[assignment]


def fingerprint(model: ir.Model) -> tuple[object, ...]:
    """Return what a model is: graphs, weights, types, and metadata of values.

    Names of nodes, and metadata of nodes and of the model, are not in it.
    """
    parts: list[object] = [dict(model.opset_imports), model.ir_version, sorted(model.functions)]
    for graph in graphs(model):
        parts += [_value(value) for value in graph.inputs]
        parts += [_value(value) for value in graph.outputs]
        parts += [
            (_value(value), None if value.const_value is None else _Contents(value.const_value))
            for value in graph.initializers.values()
        ]
        parts += [_node(node) for node in graph]
    return tuple(parts)


def _value(value: ir.Value) -> object:
    return value.name, value.type, dims(value), dict(value.metadata_props)


def _node(node: ir.Node) -> object:
    attributes = [_attribute(node.attributes[name]) for name in sorted(node.attributes)]
    inputs = [None if value is None else value.name for value in node.inputs]
    return node.op_identifier(), inputs, [_value(value) for value in node.outputs], attributes


def _attribute(attribute: ir.Attr) -> object:
    if attribute.is_ref():
        return attribute.name, "reference", attribute.ref_attr_name
    if attribute.type == ir.AttributeType.TENSOR:
        return attribute.name, _Contents(attribute.as_tensor())
    if attribute.type == ir.AttributeType.TENSORS:
        return attribute.name, [_Contents(tensor) for tensor in attribute.as_tensors()]
    if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return attribute.name, "graph"  # its contents come by themselves
    return attribute.name, attribute.type, attribute.value
