"""Changes that belong together, in the order of the graph."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxopt.difference.changes import Change, Comparer, attribute_text
from onnxopt.difference.defaults import is_default
from onnxopt.difference.match import Match
from onnxopt.difference.scope import Scope

_TITLE = 4
"""Operators that a title names on either side."""

_NAME = 40
"""Characters of the name of a constant that are shown."""

CONSTANT = "the constant"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeText:
    """One node, as it is shown."""

    operator: str
    name: str
    """Of its first output, which tells the place."""
    text: str
    """``y = Gemm(x, w float32[64, 10]) {transB=1}``."""
    form: str
    """The operator with its attributes, without any names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangedNode:
    """A node that both graphs have, and what is different about it."""

    node: NodeText
    changes: tuple[Change, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hunk:
    """What was removed, added and changed at one place."""

    scope: str
    """Which graph: empty for the main one, else ``then_branch of If 'y'``, ``function 'f'``."""
    removed: tuple[NodeText, ...]
    added: tuple[NodeText, ...]
    changed: tuple[ChangedNode, ...]
    rewired: tuple[str, ...] = ()
    """For a removal, what is read in place of what."""

    @property
    def title(self) -> str:
        """Say what became of what: ``MatMul + Add -> Gemm``."""
        kept = [each.node.operator for each in self.changed]
        before = _sum([each.operator for each in self.removed])
        after = _sum([each.operator for each in self.added])
        if not self.removed and not self.added:
            kinds = dict.fromkeys(change.kind for each in self.changed for change in each.changes)
            return f"{_sum(kept)}: {', '.join(kinds)} changed"
        if kept:
            whole = _sum([*kept, *(each.operator for each in self.removed)])
            return f"{whole} -> {_sum([*kept, *(each.operator for each in self.added)])}"
        if not self.added:
            folded = bool(self.rewired) and all(r.startswith(CONSTANT) for r in self.rewired)
            return f"{before} -> constant" if folded else f"{before} removed"
        return f"{before} -> {after}" if self.removed else f"{after} added"

    @property
    def place(self) -> str:
        """Return the name of a value at which this is."""
        nodes = self.added or tuple(each.node for each in self.changed) or self.removed
        return nodes[-1].name

    @property
    def form(self) -> object:
        """Return what hunks have in common that are the same at different places."""
        return (
            self.scope.partition(" '")[0],
            tuple(each.form for each in self.removed),
            tuple(each.form for each in self.added),
            tuple(
                (
                    each.node.operator,
                    tuple((c.kind, c.what if c.weight is None else "") for c in each.changes),
                )
                for each in self.changed
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"title": self.title, "place": self.place, **dataclasses.asdict(self)}


def _sum(operators: Sequence[str]) -> str:
    """Name a few operators, ``MatMul + 2 Add``; count the rest."""
    counts = collections.Counter(operators)
    named = [f"{count} {name}" if count > 1 else name for name, count in counts.items()]
    if len(named) > _TITLE:
        rest = sum(list(counts.values())[_TITLE - 2 : -1])
        named = [*named[: _TITLE - 2], f"{rest} more", named[-1]]
    return " + ".join(named)


class _Groups:
    """Union-find over nodes, by ``id``."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def root(self, key: int) -> int:
        while (above := self._above.get(key, key)) != key:
            self._above[key] = self._above.get(above, above)
            key = above
        return key

    def join(self, one: int, other: int) -> None:
        self._above[self.root(one)] = self.root(other)


def hunks(found: Match, comparer: Comparer, scope: str) -> list[Hunk]:
    """Group all that differs between two matched graphs."""
    loose = {id(node): node for node in [*found.removed, *found.added]}
    groups = _grouped(found, loose)
    changed: dict[int, tuple[ir.Node, tuple[Change, ...]]] = {}
    for one, other in found.pairs:
        changes = tuple(comparer.changes(found, one, other))
        if changes:
            changed[id(one)] = (other, changes)
    members: dict[int, list[ir.Node]] = collections.defaultdict(list)
    for key, node in loose.items():
        members[groups.root(key)].append(node)
    extra: dict[int, list[ir.Node]] = collections.defaultdict(list)
    for one in found.first.nodes:
        if id(one) in changed:
            home = _beside(found, one, loose)
            extra[id(one) if home is None else groups.root(home)].append(one)
    made: list[tuple[float, Hunk]] = []
    places = _places(found)
    for key in dict.fromkeys([*members, *extra]):
        nodes = members.get(key, [])
        kept = [(one, *changed[id(one)]) for one in extra.get(key, [])]
        at = min(places[id(node)] for node in [*nodes, *(one for one, _, _ in kept)])
        made.append((at, _hunk(found, nodes, kept, scope, comparer.imports)))
    return [hunk for _, hunk in sorted(made, key=lambda entry: entry[0])]


def _grouped(found: Match, loose: dict[int, ir.Node]) -> _Groups:
    """Join unmatched nodes that hand values to one another, or to the same reader."""
    groups = _Groups()
    for scope in (found.first, found.second):
        for node in scope.nodes:
            if id(node) in loose:
                for value in scope.taken(node):
                    above = scope.producer(value)
                    if above is not None and id(above) in loose:
                        groups.join(id(node), id(above))
    ends = [
        (mine, theirs)
        for one, other in found.pairs
        for mine, theirs in zip(found.first.taken(one), found.second.taken(other), strict=False)
    ]
    ends += found.outputs
    for mine, theirs in ends:
        above, beside = found.first.producer(mine), found.second.producer(theirs)
        if above is not None and beside is not None and {id(above), id(beside)} <= loose.keys():
            groups.join(id(above), id(beside))
    return groups


def _beside(found: Match, one: ir.Node, loose: dict[int, ir.Node]) -> int | None:
    """Return an unmatched node that reads a changed one, or else one that it reads."""
    for scope, node in ((found.first, one), (found.second, found.nodes[id(one)])):
        for value in node.outputs:
            for reader, _ in scope.readers[id(value)]:
                if id(reader) in loose:
                    return id(reader)
    for scope, node in ((found.first, one), (found.second, found.nodes[id(one)])):
        for read in node.inputs:
            above = scope.producer(read)
            if above is not None and id(above) in loose:
                return id(above)
    return None


def _places(found: Match) -> dict[int, float]:
    """Return where each node stands, added ones after the pair that goes before them."""
    places: dict[int, float] = dict(found.first.order)
    back = {id(other): one for one, other in found.pairs}
    last = -0.5
    for node in found.second.nodes:
        if id(node) in back:
            last = places[id(back[id(node)])] + 0.5
        places[id(node)] = last
    return places


def _hunk(
    found: Match,
    loose: Sequence[ir.Node],
    kept: Sequence[tuple[ir.Node, ir.Node, tuple[Change, ...]]],
    scope: str,
    imports: tuple[Mapping[str, int], Mapping[str, int]],
) -> Hunk:
    removed = [node for node in loose if id(node) in found.first.order]
    added = [node for node in loose if id(node) in found.second.order]
    return Hunk(
        scope=scope,
        removed=tuple(node_text(found.first, node, imports[0]) for node in removed),
        added=tuple(node_text(found.second, node, imports[1]) for node in added),
        changed=tuple(
            ChangedNode(node=node_text(found.second, other, imports[1]), changes=changes)
            for _, other, changes in kept
        ),
        rewired=() if added else tuple(dict.fromkeys(_rewired(found, removed))),
    )


def _rewired(found: Match, removed: Sequence[ir.Node]) -> Iterator[str]:
    """Say what is read in place of the values of nodes that went without a successor."""
    for node in removed:
        for value in node.outputs:
            for reader, slot in found.first.readers[id(value)]:
                twin = found.nodes.get(id(reader))
                if twin is None:
                    continue
                now = next(iter(found.second.taken(twin)[slot : slot + 1]), None)
                if now is not None and found.second.constant(now) is not None:
                    yield f"{CONSTANT} {_input_text(found.second, now)}"
                elif now is not None and now.name != value.name:
                    yield f"'{now.name}' in place of '{value.name}'"


def node_text(scope: Scope, node: ir.Node, imports: Mapping[str, int]) -> NodeText:
    """Write a node down: outputs, operator, inputs with the types of constants, attributes.

    Attributes that say what is so without them are left out.
    """
    name = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
    outputs = ", ".join(value.name or "_" for value in node.outputs)
    inputs = ", ".join(_input_text(scope, value) for value in node.inputs)
    attributes = ", ".join(
        f"{key}={attribute_text(attribute)}"
        for key, attribute in sorted(node.attributes.items())
        if not is_default(node, attribute, imports)
    )
    braces = f" {{{attributes}}}" if attributes else ""
    return NodeText(
        operator=name,
        name=(node.outputs[0].name if node.outputs else node.name) or "",
        text=f"{outputs} = {name}({inputs}){braces}",
        form=f"{name}{braces}",
    )


def _input_text(scope: Scope, value: ir.Value | None) -> str:
    if value is None:
        return "_"
    held = scope.constant(value)
    if held is None:
        return value.name or "_"
    shape = list(held.shape.numpy())
    if held.size == 1 and held.dtype != ir.DataType.STRING:
        number = held.numpy().reshape(-1)[0]
        return f"{float(number):.6g}" if held.dtype.is_floating_point() else str(number)
    name = value.name or ""
    name = name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"
    return f"{name} {held.dtype.name.lower()}{shape}".strip()
