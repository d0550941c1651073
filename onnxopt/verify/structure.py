"""Is the model still well formed, and is what a pass reports true: observers round every pass."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.base import Observer, Pass
from onnxopt.errors import VerificationError
from onnxopt.fingerprint import fingerprint
from onnxopt.graph import dims, subgraphs

Signature = tuple[
    tuple[str, str, "ir.TypeProtocol | None", "tuple[int | str | None, ...] | None"], ...
]
"""Direction, name, type and shape of every input and output."""


def problems(model: ir.Model) -> list[str]:
    """Return what is wrong with a model's structure, in time linear in its size.

    Checks that every value is defined before it is read and under one name only, that outputs
    exist, that initializers hold something, and that every operator's domain is imported.
    """
    found = _Scopes(frozenset(model.opset_imports)).check(model.graph)
    for function in model.functions.values():
        imports = frozenset(function.opset_imports) | frozenset(model.opset_imports)
        found += _Scopes(imports).check(function.graph)
    return found


class _Scopes:
    """Walks a graph and those inside it, with the values that can be seen at each point."""

    def __init__(self, domains: frozenset[str]) -> None:
        self._domains = domains
        self._defined: set[ir.Value] = set()
        self._names: set[str] = set()
        self._found: list[str] = []

    def check(self, graph: ir.Graph) -> list[str]:
        """Walk without recursion, for graphs may be nested a thousand deep."""
        stack = [(graph, iter(graph), self._enter(graph))]
        while stack:
            current, nodes, own = stack[-1]
            for node in nodes:
                self._read(node)
                self._define(node.outputs, own)
                bodies = list(subgraphs(node)) if node.attributes.data else ()
                if bodies:
                    stack += [(body, iter(body), self._enter(body)) for body in bodies]
                    break
            else:
                stack.pop()
                self._leave(current, own)
        return self._found

    def _enter(self, graph: ir.Graph) -> dict[str, ir.Value]:
        own: dict[str, ir.Value] = {}
        inputs = set(graph.inputs)
        self._define(graph.inputs, own)
        self._define([v for v in graph.initializers.values() if v not in inputs], own)
        for name, value in graph.initializers.items():
            if name != value.name:
                self._found.append(f"initializer '{value.name}' is kept under the name '{name}'")
            if value.const_value is None:
                self._found.append(f"initializer '{name}' has no contents")
        return own

    def _define(self, values: Sequence[ir.Value], own: dict[str, ir.Value]) -> None:
        names = self._names
        for value in values:
            name = value.name
            if name in names:
                self._found.append(f"the name '{name}' stands for two values")
            elif name:
                names.add(name)
                own[name] = value
            elif name is None:
                self._found.append(f"an output of {_called(value.producer())} has no name")
        self._defined.update(values)

    def _read(self, node: ir.Node) -> None:
        defined = self._defined
        for value in node.inputs:
            if value not in defined and value is not None and value.name != "":
                self._found.append(f"{_called(node)} reads '{value.name}' before it is computed")
        if node.domain not in self._domains:
            self._found.append(
                f"the operator set '{node.domain}' of {_called(node)} is not imported"
            )

    def _leave(self, graph: ir.Graph, own: dict[str, ir.Value]) -> None:
        for value in graph.outputs:
            if value not in self._defined:
                self._found.append(f"nothing computes the output '{value.name}'")
        self._defined.difference_update(own.values())
        self._names.difference_update(own)


def _called(node: ir.Node | None) -> str:
    return "a node" if node is None else f"{node.op_type} '{node.name or ''}'"


def signature(model: ir.Model) -> Signature:
    """Return the interface of a model: inputs that must be fed, and outputs, in order."""
    fed = [("input", value) for value in model.graph.inputs if not value.is_initializer()]
    given = [("output", value) for value in model.graph.outputs]
    return tuple((way, v.name or "", v.type, dims(v)) for way, v in fed + given)


def _kept(before: Signature, after: Signature) -> str | None:
    """Say how an interface changed; that more of it is known than before is no change."""
    if [entry[:2] for entry in before] != [entry[:2] for entry in after]:
        named = ["/".join(f"{way} '{name}'" for way, name, _, _ in s) for s in (before, after)]
        return f"inputs and outputs were {named[0]} and are {named[1]}"
    for (way, name, kind, shape), (_, _, new_kind, new_shape) in zip(before, after, strict=True):
        if kind is not None and kind != new_kind:
            return f"the type of {way} '{name}' was {kind} and is {new_kind}"
        if shape is not None and not _refines(new_shape, shape):
            return f"the shape of {way} '{name}' was {shape} and is {new_shape}"
    return None


def _refines(new: tuple[int | str | None, ...] | None, old: tuple[int | str | None, ...]) -> bool:
    if new is None or len(new) != len(old):
        return False
    return all(a is None or a == b for a, b in zip(old, new, strict=True))


class Verify(Observer):
    """Raises VerificationError, with the pass's name, as soon as a model is no longer well formed.

    What is wrong with the model before the first pass is not held against any pass, and a pass that
    reports no change is believed.
    """

    def __init__(self) -> None:
        self._known: frozenset[str] | None = None
        self._signature: Signature = ()

    def before(self, step: Pass, model: ir.Model) -> None:
        """Note the state of the model before the first pass."""
        if self._known is None:
            self._known = frozenset(problems(model))
            self._signature = signature(model)

    def after(self, step: Pass, model: ir.Model, changes: int) -> None:
        """Check the model after a pass."""
        if not changes:
            return
        known = self._known or frozenset()
        new = next((problem for problem in problems(model) if problem not in known), None)
        if new is None:
            now = signature(model)
            if not step.changes_signature:
                new = _kept(self._signature, now)
            self._signature = now
        if new is not None:
            raise VerificationError(f"after {step.name}: {new}")


class Honest(Observer):
    """Raises VerificationError where a pass reports a change and made none, or the other way."""

    def __init__(self) -> None:
        self._before: tuple[object, ...] = ()

    def before(self, step: Pass, model: ir.Model) -> None:
        """Note the model."""
        self._before = fingerprint(model)

    def after(self, step: Pass, model: ir.Model, changes: int) -> None:
        """Compare with what the pass says."""
        changed = fingerprint(model) != self._before
        if changed and not changes:
            raise VerificationError(f"{step.name} reports no change but changed the model")
        if changes and not changed:
            raise VerificationError(f"{step.name} reports {changes} changes but made none")


def checked(model: ir.Model) -> str | None:
    """Return what onnx.checker says against a model, None when it is content.

    Large weights are declared as inputs for it, so that they are neither read nor copied; those in
    data files too, which it would look for in the working directory.
    """
    import onnx.checker

    bare = model.clone()
    for name, value in list(bare.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or value.is_graph_input():
            continue
        if tensor.nbytes > 1024 or isinstance(tensor, ir.ExternalTensor):
            bare.graph.initializers.pop(name)
            value.const_value = None
            value.type, value.shape = (
                ir.TensorType(tensor.dtype),
                ir.Shape(list(tensor.shape.numpy())),
            )
            bare.graph.inputs.append(value)
    try:
        onnx.checker.check_model(ir.to_proto(bare))
    except (onnx.checker.ValidationError, ValueError) as error:
        return " ".join(str(error).split())
    return None
