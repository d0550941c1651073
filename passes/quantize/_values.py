"""Which values of a model are worth a range."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import key

_FLOATS = frozenset((ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16))

_MOVES = frozenset(
    ("", name) for name in ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
)
"""Operators whose output holds the elements of their first input, each once."""

_BOUNDS = frozenset((("", "Clip"), ("", "Relu")))
"""Operators that only cut off what a quantized range can cut off as well."""


def floats(model: ir.Model) -> Iterator[ir.Value]:
    """Yield the values of the main graph that hold floating-point numbers and may vary."""
    for value in model.graph.inputs:
        if not value.is_initializer() and _holds_floats(value):
            yield value
    for node in model.graph:
        for value in node.outputs:
            if value.name and _holds_floats(value) and graph.tensor(value) is None:
                yield value


def _holds_floats(value: ir.Value) -> bool:
    return isinstance(value.type, ir.TensorType) and value.dtype in _FLOATS


def source(value: ir.Value) -> ir.Value:
    """Return the value whose elements a value holds, in another shape or order; else itself."""
    producer = value.producer()
    while producer is not None and key(producer) in _MOVES and producer.inputs[0] is not None:
        value = producer.inputs[0]
        producer = value.producer()
    return value


def bounded(value: ir.Value) -> bool:
    """Return whether all that reads a value is one operator that cuts it off."""
    return graph.sole_use(value) and all(key(use.node) in _BOUNDS for use in value.uses())
