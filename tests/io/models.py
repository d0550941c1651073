"""Small models for the tests of reading and writing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOATS = onnx.TensorProto.FLOAT


def info(name: str, shape: Sequence[int | str] = (4,)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOATS, shape)


def weight(name: str, size: int = 4, seed: int = 0) -> onnx.TensorProto:
    values = np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
    return numpy_helper.from_array(values, name)


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto] = (),
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    outputs: Sequence[onnx.ValueInfoProto] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    ir_version: int = 8,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x")] if inputs is None else inputs,
        [info("y")] if outputs is None else outputs,
        weights,
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_model(
        graph, opset_imports=domains, ir_version=ir_version, functions=functions
    )


def add(size: int = 4) -> onnx.ModelProto:
    """Return ``y = x + w`` of so many elements."""
    nodes = [helper.make_node("Add", ["x", "w"], ["y"], name="add")]
    return model(nodes, [weight("w", size)], [info("x", [size])], [info("y", [size])])


def outside(name: str, location: str, *, size: int, offset: int = 0) -> onnx.TensorProto:
    """Return a float weight of so many elements that lies in a data file."""
    tensor = onnx.TensorProto(name=name, data_type=FLOATS, dims=[size])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", 4 * size)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def add_outside(location: str, size: int = 1024) -> onnx.ModelProto:
    """Return ``y = x + w`` with w in a data file."""
    proto = add(size)
    proto.graph.initializer[0].CopyFrom(outside("w", location, size=size))
    return proto


def write(proto: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def length_delimited(field: int, payload: bytes) -> bytes:
    """Write one field of a protobuf message by hand."""
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
