"""Types that onnx-ir has no class for: maps, such as classifiers return, and opaque ones.

They are taken off the values before the model is built, travel as metadata of the model's inputs
and outputs, and come back when it is written.
"""

from __future__ import annotations

import itertools

import onnx
import onnx_ir as ir

_KEY = "onnxopt.type"
_WRAPPERS = ("sequence_type", "optional_type")
_FOREIGN = ("map_type", "opaque_type")


def set_aside(graph: onnx.GraphProto) -> dict[str, bytes]:
    """Take such types off the values of a graph; returns them, serialized, by name."""
    types: dict[str, bytes] = {}
    for info in itertools.chain(graph.input, graph.output, graph.value_info):
        if _is_foreign(info.type):
            types[info.name] = info.type.SerializeToString()
            info.ClearField("type")
    return types


def remember(model: ir.Model, types: dict[str, bytes]) -> None:
    """Leave the types with the model's inputs and outputs."""
    for value in itertools.chain(model.graph.inputs, model.graph.outputs):
        if value.name in types:
            value.meta[_KEY] = types[value.name]


def put_back(proto: onnx.ModelProto, model: ir.Model) -> None:
    """Write the types into the serialized model."""
    infos = itertools.chain(proto.graph.input, proto.graph.output)
    values = itertools.chain(model.graph.inputs, model.graph.outputs)
    for info, value in zip(infos, values, strict=True):
        if value.type is None and _KEY in value.meta:
            info.type.ParseFromString(value.meta[_KEY])


def _is_foreign(of: onnx.TypeProto) -> bool:
    kind = of.WhichOneof("value")
    while kind in _WRAPPERS:
        of = getattr(of, kind).elem_type
        kind = of.WhichOneof("value")
    return kind in _FOREIGN
