"""Constants of a graph, read only where they are small."""

from __future__ import annotations

from typing import cast

import onnx_ir as ir

from onnxopt.shapes.contents import FOLLOWED, most_followed
from onnxopt.shapes.fact import Content, Contradiction


def constant_of(value: ir.Value, inputs_count: bool = False) -> ir.TensorProtocol | None:
    """Return the tensor that a value always is; None where it may be another one.

    An initializer that is also a graph input is only a default, except in models of an IR version
    before 4 (``inputs_count``), where every initializer is listed among the inputs.
    """
    producer = value.producer()
    if producer is None:
        if value.is_initializer() and (inputs_count or not value.is_graph_input()):
            return value.const_value
        return None
    if producer.op_type != "Constant" or producer.domain:
        return None
    attribute = producer.attributes.get("value")
    if attribute is None or attribute.is_ref():
        return None
    return tensor_of(attribute)


def tensor_of(attribute: ir.Attr) -> ir.TensorProtocol:
    """Return a tensor attribute; its own accessor spends 0.1 ms on checking the protocol."""
    if attribute.type is not ir.AttributeType.TENSOR or attribute.is_ref():
        raise Contradiction(f"its attribute '{attribute.name}' is no tensor")
    return cast(ir.TensorProtocol, attribute.value)


def small_content(tensor: ir.TensorProtocol) -> Content | None:
    """Return the elements of a small tensor of numbers; None, unread, for any other."""
    if tensor.dtype not in FOLLOWED or tensor.size > most_followed(tensor.dtype):
        return None
    try:
        return tuple(tensor.numpy().reshape(-1).tolist())
    except (OSError, TypeError, ValueError):  # data that is missing or does not fill the shape
        return None


def dims_of(tensor: ir.TensorProtocol) -> tuple[int, ...]:
    """Return the shape of a tensor without reading it."""
    return tuple(tensor.shape.numpy())
