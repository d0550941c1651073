"""Which operators take half precision, by ONNX's own schemas."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import onnx_ir as ir

from onnxopt import graph

PRECISE = frozenset(
    (
        "CumProd",
        "CumSum",
        "Einsum",
        "NonMaxSuppression",
        "RandomNormalLike",
        "RandomUniformLike",
        "Range",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMean",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    )
)
"""Operators that add up, or count, beyond what half precision holds, though all that one sees of
them may be small."""


TYPED = frozenset(("dtype", "output_dtype", "to"))
"""Attributes that name the type of the outputs, so that it does not change with the inputs."""


class Sides(NamedTuple):
    """The inputs and outputs of a node whose type changes with it, by their places."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def sides(node: ir.Node, version: int, to: ir.DataType) -> Sides | None:
    """Return what of a node in float32 changes to a type; None where it cannot.

    Formal parameters that are float32 whatever the type of the others, like the scales of Resize,
    stay. Every value that a type variable stands for must be float32, and the variable must allow
    the new type.
    """
    if node.domain or node.op_type in PRECISE or graph.has_bodies(node):
        return None
    if TYPED & node.attributes.keys():
        return None
    found = _schema(node.op_type, version)
    if found is None:
        return None
    ins = _places(found.inputs, list(node.inputs))
    outs = _places(found.outputs, list(node.outputs))
    allowed = f"tensor({to.name.lower()})"
    changing: tuple[list[int], list[int]] = ([], [])
    for side, places in zip(changing, (ins, outs), strict=True):
        for at, value, variable in places:
            types = found.variables.get(variable)
            if value.dtype is None or (value.dtype.is_floating_point() and not _plain(value)):
                return None
            if value.dtype != ir.DataType.FLOAT or types is None:
                continue
            if allowed not in types:
                return None
            side.append(at)
    return Sides(tuple(changing[0]), tuple(changing[1])) if all(changing) else None


def ends_the_runtime(node: ir.Node) -> bool:
    """Return whether it multiplies what a Transpose moves along the first axis, or is that one.

    Where ONNX Runtime has no kernels for half precision it puts casts between the two. From 1.24 to
    1.32 it joins them all the same, and ends in a segmentation fault over what comes out.
    """
    if node.op_type == "Transpose":
        moves = (graph.attr_ints(node, "perm") or (1,))[0] != 0
        return moves and any(_multiplies(use.node) for use in node.outputs[0].uses())
    before = node.inputs[0].producer() if _multiplies(node) and node.inputs[0] else None
    return before is not None and before.op_type == "Transpose" and ends_the_runtime(before)


def _multiplies(node: ir.Node) -> bool:
    return node.op_type == "MatMul" and graph.tensor(node.inputs[1]) is not None


def _plain(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.FLOAT and isinstance(value.type, ir.TensorType)


class _Schema(NamedTuple):
    inputs: tuple[str, ...]
    """The types of the formal parameters; that of the last stands for all behind where it may."""
    outputs: tuple[str, ...]
    variables: dict[str, frozenset[str]]


@functools.cache
def _schema(op_type: str, version: int) -> _Schema | None:
    import onnx

    try:
        found = onnx.defs.get_schema(op_type, min(version, onnx.defs.onnx_opset_version()))
    except onnx.defs.SchemaError:
        return None
    return _Schema(
        inputs=tuple(each.type_str for each in found.inputs),
        outputs=tuple(each.type_str for each in found.outputs),
        variables={
            each.type_param_str: frozenset(each.allowed_type_strs)
            for each in found.type_constraints
        },
    )


def _places(
    formal: tuple[str, ...], values: list[ir.Value | None]
) -> Iterator[tuple[int, ir.Value, str]]:
    """Yield the values that are there, their places, and the variable each stands for."""
    for at, value in enumerate(values):
        if value is not None and formal:
            yield at, value, formal[min(at, len(formal) - 1)]
