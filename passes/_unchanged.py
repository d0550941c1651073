"""Whether nodes mean the same in a newer operator set as they are written."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import onnx
import onnx_ir as ir

from onnxopt import graph

_SMALL = 64
"""Elements of a constant that the converter is shown."""


def unchanged(model: ir.Model, to: int) -> bool:
    """Return whether a newer version of the default operator set needs no other nodes.

    Most operators keep their definition from one version to the next. Of those that were defined
    anew, the version converter is asked about one node of each kind: the same operator with the
    same attributes, and inputs of the same types and ranks. The model must have nodes of that
    operator set only, and none inside others.
    """
    old = graph.opset(model)
    asked: dict[Hashable, ir.Node] = {}
    kinds = {node.op_type for node in model.graph}
    anew = {kind for kind in kinds if _defined(kind, old) != _defined(kind, to)}
    for node in model.graph:
        if node.op_type in anew:
            asked.setdefault(_kind(node), node)
    return not asked or _same(list(asked.values()), old, to)


def _defined(op_type: str, version: int) -> int:
    """Return the version in which an operator was last defined; 0 where there is none."""
    try:
        return int(onnx.defs.get_schema(op_type, version, "").since_version)
    except onnx.defs.SchemaError:
        return 0


def _kind(node: ir.Node) -> Hashable:
    inputs = tuple(
        None if value is None else (value.dtype, graph.rank(value), _constant(value) is not None)
        for value in node.inputs
    )
    attributes = tuple(sorted((name, repr(held)) for name, held in node.attributes.items()))
    return node.op_type, attributes, inputs, len(node.outputs)


def _constant(value: ir.Value) -> ir.TensorProtocol | None:
    held = graph.tensor(value)
    return held if held is not None and held.size <= _SMALL else None


def _same(nodes: Sequence[ir.Node], old: int, to: int) -> bool:
    """Convert a model of nodes that stand side by side; return whether they come back as they were.

    One model for all: most of what a conversion takes, it takes for any model.
    """
    from onnx.version_converter import ConvertError, convert_version

    alone = [_alone(node, f"n{at}") for at, node in enumerate(nodes)]
    weights = [tensor for each in alone for tensor in each.weights]
    home = onnx.helper.make_graph(
        [each.node for each in alone],
        "kinds",
        [info for each in alone for info in each.inputs],
        [info for each in alone for info in each.outputs],
        weights,
    )
    opsets = [onnx.helper.make_opsetid("", old)]
    try:
        proto = convert_version(onnx.helper.make_model(home, opset_imports=opsets), to)
    except (ConvertError, RuntimeError):
        return False
    back = [_bare(node) for node in proto.graph.node]
    return back == [_bare(each.node) for each in alone] and len(proto.graph.initializer) == len(
        weights
    )


class _Alone(NamedTuple):
    """A node without neighbours, with what it reads and makes."""

    node: onnx.NodeProto
    inputs: list[onnx.ValueInfoProto]
    outputs: list[onnx.ValueInfoProto]
    weights: list[onnx.TensorProto]


def _alone(node: ir.Node, name: str) -> _Alone:
    names = ["" if value is None else f"{name}_i{at}" for at, value in enumerate(node.inputs)]
    made = ir.serde.serialize_node(node)
    del made.input[:], made.output[:]
    made.input.extend(names)
    made.output.extend(f"{name}_o{at}" for at in range(len(node.outputs)))
    inputs, weights = _fed(node, names)
    infos = [_info(value, each) for value, each in zip(node.outputs, made.output, strict=True)]
    return _Alone(made, inputs, infos, weights)


def _bare(node: onnx.NodeProto) -> tuple[object, ...]:
    attributes = sorted((each.name, each.SerializeToString()) for each in node.attribute)
    return node.op_type, list(node.input), list(node.output), attributes


def _fed(
    node: ir.Node, names: Sequence[str]
) -> tuple[list[onnx.ValueInfoProto], list[onnx.TensorProto]]:
    inputs, weights = [], []
    for name, value in zip(names, node.inputs, strict=True):
        if value is None:
            continue
        held = _constant(value)
        if held is None:
            inputs.append(_info(value, name))
        else:
            tensor = ir.serde.serialize_tensor(held)
            tensor.name = name
            weights.append(tensor)
    return inputs, weights


def _info(value: ir.Value, name: str) -> onnx.ValueInfoProto:
    dtype = value.dtype or ir.DataType.FLOAT
    return onnx.helper.make_tensor_value_info(name, dtype.value, graph.dims(value))
