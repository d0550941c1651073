"""Models in memory: from ONNX's protobuf message and back."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.io.formats import one_line
from onnxopt.io.slots import from_files, slots, swapped
from onnxopt.io.types import put_back, remember, set_aside


def from_proto(proto: onnx.ModelProto) -> ir.Model:
    """Return a model made of a message, which stays as it is.

    Raises ModelError where the message is no valid model.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return adopt_proto(copy)


def adopt_proto(proto: onnx.ModelProto) -> ir.Model:
    """Return a model made of a message that nobody else needs; it shares the message's weights.

    Raises ModelError where the message is no valid model.
    """
    types = set_aside(proto.graph)
    try:
        model = ir.from_proto(proto)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"the model is not valid: {one_line(error)}") from error
    remember(model, types)
    return model


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """Return a model as a message; weights in data files become references to them."""
    proto = ir.to_proto(model)
    put_back(proto, model)
    return proto


def to_whole_proto(model: ir.Model) -> onnx.ModelProto:
    """Return a model as a message that needs no other file: weights in data files are read."""
    with swapped(from_files(slots(model))):
        return to_proto(model)
