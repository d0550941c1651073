"""Functions of a model, and the nodes they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.errors import ModelError

Name = tuple[str, str, str]
"""Domain, name and overload."""


def inlinable(model: ir.Model) -> list[Name]:
    """Return the functions whose calls can be replaced by nodes.

    One that imports another version of an operator set than the model is not among them, for its
    nodes would mean something else outside of it; nor are the functions that it calls.
    """
    kept = _called(model, _closed(model))
    return [name for name in model.functions if name not in kept]


def inline(model: ir.Model, names: Sequence[Name]) -> None:
    """Replace every call of these functions by their nodes, and remove them.

    Raises ModelError where a call does not fit its function.
    """
    from onnx_ir.passes import PreconditionError
    from onnx_ir.passes.common import InlinePass

    gone = set(names)
    for name in names:
        _separate_outputs(model.functions[name])
    try:
        InlinePass(criteria=lambda function: function.identifier() in gone)(model)
    except (PreconditionError, ValueError) as problem:
        raise ModelError(f"the functions of the model cannot be inlined: {problem}") from problem
    for name in names:
        model.functions.pop(name, None)


def _closed(model: ir.Model) -> set[Name]:
    """Return the functions whose nodes cannot stand in the model's graph as they are."""
    imports = dict(model.opset_imports)
    closed = set()
    for name, function in model.functions.items():
        own = function.opset_imports
        same = all(imports.get(domain, version) == version for domain, version in own.items())
        bodies = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        if same and not any(attribute.type in bodies for attribute in function.attributes.values()):
            imports |= own
        else:
            closed.add(name)
    return closed


def _called(model: ir.Model, names: Iterable[Name]) -> set[Name]:
    """Return the functions of these names, and all that they call."""
    found: set[Name] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in found or name not in model.functions:
            continue
        found.add(name)
        for home in graph.nested(model.functions[name].graph):
            pending += [node.op_identifier() for node in home]
    return found


def _separate_outputs(function: ir.Function) -> None:
    """Copy what a function hands on as it is, or twice, so that each output has a value of its own.

    Else a graph's output that a call computes would become one of the graph's inputs.
    """
    seen: set[ir.Value] = set()
    for index, value in enumerate(function.outputs):
        if value.producer() is None or value in seen:
            copy = ir.Node("", "Identity", [value], num_outputs=1)
            copy.outputs[0].name = f"{value.name}_copy_{index}"
            function.graph.append(copy)
            function.outputs[index] = copy.outputs[0]
        seen.add(function.outputs[index])
