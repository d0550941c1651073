"""Operators without a row: ONNX's own inference for one node, by the operator's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onnxopt.shapes.call import Call
from onnxopt.shapes.extent import Extent, static
from onnxopt.shapes.fact import Fact

if TYPE_CHECKING:
    import onnx


def infer_by_schema(call: Call) -> list[Fact]:
    """Ask ONNX; extents go there and come back under numbered names."""
    import onnx
    from onnx import checker, defs, shape_inference

    node, unknown = call.node, [Fact()] * len(call.node.outputs)
    label = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    if not defs.has(node.op_type, node.domain):
        call.stop(f"operator {label} is unknown")
        return unknown
    names: dict[str, Extent] = {}
    version = call.version
    newest = defs.onnx_opset_version() if not node.domain else version
    types = _input_types(call, names)
    if types is None or any(attribute.is_ref() for attribute in call.attributes.values()):
        return unknown
    try:
        schema = defs.get_schema(node.op_type, min(version, newest), node.domain)
        proto = ir.to_proto(node)
        del proto.input[:], proto.output[:]
        proto.input.extend(f"i{i}" if call.has(i) else "" for i in range(len(call.inputs)))
        proto.output.extend(f"o{index}" for index in range(len(unknown)))
        imports = [onnx.helper.make_opsetid(node.domain, schema.since_version)]
        data = _known_inputs(call)
        found = shape_inference.infer_node_outputs(
            schema, proto, types, data, opset_imports=imports
        )
    except (defs.SchemaError, shape_inference.InferenceError, checker.ValidationError) as error:
        call.stop(f"ONNX's own inference refuses it ({str(error).splitlines()[0]})")
        return unknown
    except (RuntimeError, ValueError, TypeError) as error:
        call.stop(f"ONNX's own inference fails on it ({error})")
        return unknown
    return [_fact(found.get(f"o{index}"), names) for index in range(len(unknown))]


def _input_types(call: Call, names: dict[str, Extent]) -> dict[str, onnx.TypeProto] | None:
    from onnx import helper

    types: dict[str, onnx.TypeProto] = {}
    for index, fact in enumerate(call.inputs):
        if fact is None:
            continue
        if fact.dtype is None or fact.type is not None:
            return None
        shape: list[int | str] = []
        for size in fact.shape or ():
            if not isinstance(size, int):
                names[f"d{len(names)}"] = size
            shape.append(size if isinstance(size, int) else f"d{len(names) - 1}")
        known = None if fact.shape is None else shape
        types[f"i{index}"] = helper.make_tensor_type_proto(fact.dtype.value, known)
    return types


def _known_inputs(call: Call) -> dict[str, onnx.TensorProto]:
    from onnx import numpy_helper

    found: dict[str, onnx.TensorProto] = {}
    for index, fact in enumerate(call.inputs):
        content = None if fact is None else call.content(index)
        shape = None if fact is None else static(fact.shape)
        if content is None or shape is None or fact is None or fact.dtype is None:
            continue
        if all(isinstance(item, int | float) for item in content):
            array = np.array(content, dtype=fact.dtype.numpy()).reshape(shape)
            found[f"i{index}"] = numpy_helper.from_array(array)
    return found


def _fact(found: onnx.TypeProto | None, names: dict[str, Extent]) -> Fact:
    if found is None or not found.HasField("tensor_type"):
        return Fact()
    tensor = found.tensor_type
    dtype = ir.DataType(tensor.elem_type) if tensor.elem_type else None
    if not tensor.HasField("shape"):
        return Fact(dtype)
    shape: list[Extent] = []
    for size in tensor.shape.dim:
        known = size.HasField("dim_value")
        shape.append(size.dim_value if known else names.get(size.dim_param))
    return Fact(dtype, tuple(shape))
