"""What is different about two nodes that are the same."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from onnxopt.difference.defaults import is_default
from onnxopt.difference.match import Match
from onnxopt.difference.scope import attribute_key, operator
from onnxopt.difference.weights import WeightChange, weight_change
from onnxopt.graph import dims

_LONG = 60
"""Characters of an attribute that are shown."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One thing about a node."""

    kind: str
    """``attribute``, ``weight``, ``input``, ``output`` or ``operator``."""
    what: str
    """The name of the attribute, or the place of the input or output."""
    before: str | None
    after: str | None
    weight: WeightChange | None = None

    def __str__(self) -> str:
        if self.weight is not None:
            return f"{self.what}: {self.weight}"
        match self.before, self.after:
            case None, after:
                return f"{self.kind} {self.what}: added, {after}"
            case before, None:
                return f"{self.kind} {self.what}: removed, was {before}"
            case before, after:
                return f"{self.kind} {self.what}: {before} -> {after}"


class Comparer:
    """Compares pairs of nodes of two models; each pair of weights once."""

    def __init__(self, first: ir.Model, second: ir.Model) -> None:
        self.imports = (first.opset_imports, second.opset_imports)
        self._weights: set[tuple[int, int]] = set()
        self._kept: list[object] = []

    def changes(self, found: Match, one: ir.Node, other: ir.Node) -> Iterator[Change]:
        """Yield what differs; inputs that nodes removed or added account for are left out."""
        if one.op_identifier() != other.op_identifier() and operator(one) != operator(other):
            before, after = ("::".join(operator(node)) for node in (one, other))
            yield Change(kind="operator", what="", before=before, after=after)
        yield from self._attributes(one, other)
        for at, (mine, theirs) in enumerate(itertools.zip_longest(one.inputs, other.inputs)):
            yield from self._input(found, at, mine, theirs)
        yield from _outputs(one, other)

    def _attributes(self, one: ir.Node, other: ir.Node) -> Iterator[Change]:
        for name in sorted({*one.attributes, *other.attributes}):
            mine, theirs = one.attributes.get(name), other.attributes.get(name)
            if theirs is None and mine is not None and is_default(one, mine, self.imports[0]):
                continue
            if mine is None and theirs is not None and is_default(other, theirs, self.imports[1]):
                continue
            if mine is not None and theirs is not None and _same_attribute(mine, theirs):
                continue
            before, after = attribute_text(mine), attribute_text(theirs)
            yield Change(kind="attribute", what=name, before=before, after=after)

    def _input(
        self, found: Match, at: int, mine: ir.Value | None, theirs: ir.Value | None
    ) -> Iterator[Change]:
        if mine is None and theirs is None:
            return
        held, holds = found.first.constant(mine), found.second.constant(theirs)
        if held is not None and holds is not None:
            yield from self._weight(at, held, holds, f"weight '{mine.name if mine else ''}'")
        elif not self._same(found, mine, theirs) and not accounted(found, mine, theirs):
            before, after = value_text(found.first.constant(mine), mine), value_text(holds, theirs)
            yield Change(kind="input", what=str(at), before=before, after=after)

    def _same(self, found: Match, mine: ir.Value | None, theirs: ir.Value | None) -> bool:
        return mine is not None and found.values.get(id(mine)) is theirs

    def _weight(
        self, at: int, held: ir.TensorProtocol, holds: ir.TensorProtocol, what: str
    ) -> Iterator[Change]:
        key = (id(held), id(holds))
        if key in self._weights:
            return
        self._weights.add(key)
        self._kept += (held, holds)  # an id must not be given to another tensor
        change = weight_change(held, holds)
        if change is not None:
            yield Change(
                kind="weight", what=what, before=change.before, after=change.after, weight=change
            )


def accounted(found: Match, mine: ir.Value | None, theirs: ir.Value | None) -> bool:
    """Return whether nodes that were removed or added account for another input."""
    above, beside = found.first.producer(mine), found.second.producer(theirs)
    gone = above is not None and id(above) not in found.nodes
    return gone or (beside is not None and id(beside) not in found.back)


def _outputs(one: ir.Node, other: ir.Node) -> Iterator[Change]:
    for at, (mine, theirs) in enumerate(itertools.zip_longest(one.outputs, other.outputs)):
        if mine is None or theirs is None:
            before, after = (None if v is None else f"'{v.name}'" for v in (mine, theirs))
            yield Change(kind="output", what=str(at), before=before, after=after)
        elif not alike(mine, theirs):
            yield Change(
                kind="output", what=str(at), before=type_text(mine), after=type_text(theirs)
            )


def alike(one: ir.Value, other: ir.Value) -> bool:
    """Return whether type and shape do not contradict; what is not stated contradicts nothing."""
    if one.type is not None and other.type is not None and one.type != other.type:
        return False
    mine, theirs = dims(one), dims(other)
    if mine is None or theirs is None:
        return True
    return len(mine) == len(theirs) and all(
        a == b or not (isinstance(a, int) and isinstance(b, int))
        for a, b in zip(mine, theirs, strict=True)
    )


def type_text(value: ir.Value) -> str:
    """Return type and shape, ``float[N, 3, ?]``."""
    known = dims(value)
    kind = "?" if value.dtype is None else value.dtype.name.lower()
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        kind = str(value.type)
    return (
        kind
        if known is None
        else f"{kind}[{', '.join('?' if d is None else str(d) for d in known)}]"
    )


def value_text(held: ir.TensorProtocol | None, value: ir.Value | None) -> str | None:
    """Return the name of a value; of a constant also what it is."""
    if value is None:
        return None
    if held is not None:
        return f"the constant '{value.name}'"
    return f"'{value.name}'{' (callers may override it)' if value.is_initializer() else ''}"


def attribute_text(attribute: ir.Attr | None) -> str | None:
    """Return an attribute's value, cut off where it is long."""
    if attribute is None:
        return None
    if attribute.is_ref():
        return f"@{attribute.ref_attr_name}"
    value: Any = attribute.value
    if attribute.type == ir.AttributeType.TENSOR:
        held = attribute.as_tensor()
        text = f"{held.dtype.name.lower()}{list(held.shape.numpy())}"
        if held.size <= 8:
            text += f" {held.numpy().tolist()}"
    elif attribute.type == ir.AttributeType.GRAPH:
        text = f"graph of {len(value)} nodes"
    else:
        text = str(list(value) if isinstance(value, tuple | list) else value)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _same_attribute(one: ir.Attr, other: ir.Attr) -> bool:
    """Compare two attributes; graphs are looked into on their own."""
    if one.type != other.type or one.is_ref() or other.is_ref():
        return attribute_key(one) == attribute_key(other)
    if one.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return True
    if one.type == ir.AttributeType.TENSOR:
        return weight_change(one.as_tensor(), other.as_tensor()) is None
    return attribute_key(one) == attribute_key(other)
