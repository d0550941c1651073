"""Which node of one graph is which of another, through renames, in time nearly linear.

Nodes are paired in this order: those that compute the same from the inputs on and whose results
are used in the same way down to the outputs; those with one of the two; those whose surroundings
have the same form, weights and attributes aside; those that kept a name and an operator; last the
neighbours of pairs, as long as there are any with one operator. Numbering from the inputs down is
hash-consing; the idea of matching equal parts first and their surroundings after is that of
Chawathe et al., "Change detection in hierarchically structured information", 1996.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir

from onnxopt.difference.scope import (
    Scope,
    Slot,
    attributes_key,
    form_key,
    operator,
    weight_key,
)

_REACH = 4
"""Nodes of one graph that a pair may be looked for above."""


@dataclasses.dataclass
class Match:
    """Pairs of nodes and of values, by ``id``, in both directions."""

    first: Scope
    second: Scope
    nodes: dict[int, ir.Node] = dataclasses.field(default_factory=dict)
    """From nodes of the first graph to those of the second."""
    back: dict[int, ir.Node] = dataclasses.field(default_factory=dict)
    values: dict[int, ir.Value] = dataclasses.field(default_factory=dict)
    """From values of the first graph, and of those around it, to those of the second."""
    inputs: list[tuple[ir.Value, ir.Value]] = dataclasses.field(default_factory=list)
    outputs: list[tuple[ir.Value, ir.Value]] = dataclasses.field(default_factory=list)

    def pair(self, one: ir.Node, other: ir.Node) -> None:
        """Note that two nodes are the same."""
        self.nodes[id(one)] = other
        self.back[id(other)] = one
        for mine, theirs in zip(one.outputs, other.outputs, strict=False):
            self.values[id(mine)] = theirs

    @property
    def pairs(self) -> Iterator[tuple[ir.Node, ir.Node]]:
        """Yield the pairs in the order of the first graph."""
        for node in self.first.nodes:
            if id(node) in self.nodes:
                yield node, self.nodes[id(node)]

    @property
    def removed(self) -> list[ir.Node]:
        """The nodes of the first graph that are not in the second."""
        return [node for node in self.first.nodes if id(node) not in self.nodes]

    @property
    def added(self) -> list[ir.Node]:
        """The nodes of the second graph that are not in the first."""
        return [node for node in self.second.nodes if id(node) not in self.back]


def match(
    one: ir.Graph,
    other: ir.Graph,
    around: Mapping[int, ir.Value] | None = None,
    *,
    named: bool = False,
) -> Match:
    """Match two graphs; ``around`` are the pairs of values of the graphs that they stand in.

    Inputs and outputs are paired by place, as the bodies of nodes and functions are called, or by
    name where that is what callers go by (``named``).
    """
    found = Match(Scope(one), Scope(other), values=dict(around or {}))
    pairs = aligned if named else _placed
    found.inputs, found.outputs = pairs(one.inputs, other.inputs), pairs(one.outputs, other.outputs)
    for mine, theirs in found.inputs:
        found.values[id(mine)] = theirs
    exact, loose = _Numbers(found, exact=True), _Numbers(found, exact=False)
    for key in (exact.both, exact.downward, exact.upward, loose.both):
        _by_key(found, key)
    _by_name(found)
    for key in (loose.downward, loose.upward):
        _by_key(found, key, unique=True)
    _neighbours(found, strict=True)
    _neighbours(found, strict=False)
    _neighbours(found, strict=False, reach=_REACH)
    return found


def aligned(
    mine: Sequence[ir.Value], theirs: Sequence[ir.Value]
) -> list[tuple[ir.Value, ir.Value]]:
    """Pair the inputs or the outputs of two graphs: by name, and the rest by place.

    By place only where as many are left on both sides.
    """
    named = {value.name: value for value in theirs}
    names = {value.name for value in mine} & named.keys()
    left = [value for value in theirs if value.name not in names]
    if len(left) != sum(value.name not in names for value in mine):
        return [(value, named[value.name]) for value in mine if value.name in names]
    rest = iter(left)
    return [(value, named[value.name] if value.name in names else next(rest)) for value in mine]


def _placed(
    mine: Sequence[ir.Value], theirs: Sequence[ir.Value]
) -> list[tuple[ir.Value, ir.Value]]:
    return list(zip(mine, theirs, strict=False))


Key = Callable[[ir.Node], Hashable]


class _Numbers:
    """Numbers of nodes: equal downward ones compute alike, equal upward ones are used alike."""

    def __init__(self, found: Match, *, exact: bool) -> None:
        self._exact = exact
        self._known: dict[Hashable, int] = {}
        self._down: dict[int, int] = {}
        self._up: dict[int, int] = {}
        self._values: dict[int, int] = {}
        for mine, theirs in _bases(found):
            self._values[id(mine)] = self._values[id(theirs)] = self._number(("base", id(theirs)))
        outputs = dict(_output_places(found))
        for scope in (found.first, found.second):
            for node in scope.nodes:
                self._descend(scope, node)
            for node in reversed(scope.nodes):
                self._ascend(scope, node, outputs)

    def downward(self, node: ir.Node) -> Hashable:
        return self._down[id(node)]

    def upward(self, node: ir.Node) -> Hashable:
        return self._up[id(node)]

    def both(self, node: ir.Node) -> Hashable:
        return self._down[id(node)], self._up[id(node)]

    def _number(self, key: Hashable) -> int:
        return self._known.setdefault(key, len(self._known))

    def _own(self, node: ir.Node) -> Hashable:
        return operator(node), attributes_key(node) if self._exact else None

    def _weight(self, held: ir.TensorProtocol) -> int:
        return self._number(("weight", weight_key(held) if self._exact else form_key(held)))

    def _value(self, scope: Scope, value: ir.Value | None) -> int:
        if value is None:
            return -1
        known = self._values.get(id(value))
        if known is None:
            held = scope.constant(value)
            known = self._number(("free", value.name)) if held is None else self._weight(held)
            self._values[id(value)] = known
        return known

    def _descend(self, scope: Scope, node: ir.Node) -> None:
        inputs = [self._value(scope, value) for value in scope.taken(node)]
        while inputs and inputs[-1] == -1:
            inputs.pop()
        number = self._number(("down", self._own(node), tuple(inputs)))
        self._down[id(node)] = number
        for at, value in enumerate(node.outputs):
            self._values[id(value)] = self._number((number, at))

    def _ascend(self, scope: Scope, node: ir.Node, outputs: Mapping[int, int]) -> None:
        weights = tuple(
            (slot, self._weight(held))
            for slot, value in enumerate(node.inputs)
            if (held := scope.constant(value)) is not None
        )
        uses = tuple(
            (outputs.get(id(value), -1), self._readers(scope, value)) for value in node.outputs
        )
        self._up[id(node)] = self._number(("up", self._own(node), weights, uses))

    def _readers(self, scope: Scope, value: ir.Value) -> tuple[tuple[int, Slot], ...]:
        readers = scope.readers[id(value)]
        return tuple(sorted((self._up.get(id(node), -1), slot) for node, slot in readers))


def _bases(found: Match) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Yield the pairs of values that both graphs start from."""
    yield from found.inputs
    outside = {id(v): v for node in found.first.nodes for v in found.first.taken(node) if v}
    for key, value in outside.items():
        if key in found.values:
            yield value, found.values[key]


def _output_places(found: Match) -> Iterator[tuple[int, int]]:
    for at, pair in enumerate(found.outputs):
        yield from ((id(value), at) for value in pair)


def _by_key(found: Match, key: Key, *, unique: bool = False) -> None:
    """Pair nodes with equal keys; among several those of one name first, then in order."""
    groups: dict[Hashable, tuple[list[ir.Node], list[ir.Node]]] = {}
    for side, nodes in enumerate((found.removed, found.added)):
        for node in nodes:
            groups.setdefault(key(node), ([], []))[side].append(node)
    for mine, theirs in groups.values():
        if unique and (len(mine) != 1 or len(theirs) != 1):
            continue
        if mine and theirs:
            for one, other in _in_order(mine, theirs):
                found.pair(one, other)


def _in_order(mine: list[ir.Node], theirs: list[ir.Node]) -> Iterator[tuple[ir.Node, ir.Node]]:
    if len(mine) > 1 or len(theirs) > 1:
        named = {_name(node): node for node in theirs}
        same = [(node, named[_name(node)]) for node in mine if _name(node) in named]
        yield from same
        gone = {id(node) for pair in same for node in pair}
        mine = [node for node in mine if id(node) not in gone]
        theirs = [node for node in theirs if id(node) not in gone]
    yield from zip(mine, theirs, strict=False)


def _name(node: ir.Node) -> str:
    return (node.outputs[0].name if node.outputs else "") or ""


def _by_name(found: Match) -> None:
    """Pair nodes whose first output kept its name, unless all they read speaks against it."""
    named = {_name(node): node for node in found.added if _name(node)}
    for node in found.removed:
        other = named.get(_name(node))
        if other is None or operator(other) != operator(node):
            continue
        if _plausible(found, node, other):
            found.pair(node, other)


def _plausible(found: Match, one: ir.Node, other: ir.Node) -> bool:
    known = [
        (found.values[id(mine)], theirs)
        for mine, theirs in zip(one.inputs, other.inputs, strict=False)
        if mine is not None and id(mine) in found.values
    ]
    return not known or any(expected is theirs for expected, theirs in known)


def _neighbours(found: Match, *, strict: bool, reach: int = 0) -> None:
    """Spread from pairs to what they read and to what reads them, one operator with another.

    With a ``reach``, nodes that only one graph has are stepped over upward, as far as each reads
    one value only that varies.
    """
    pending = collections.deque(found.pairs)
    for mine, theirs in found.outputs:
        pending.extend(_above(found, mine, theirs, strict, reach))
    for mine, theirs in found.inputs:
        pending.extend(_readers(found, mine, theirs, strict))
    while pending:
        one, other = pending.popleft()
        for read, reads in zip(one.inputs, other.inputs, strict=False):
            pending.extend(_above(found, read, reads, strict, reach))
        for given, gives in zip(one.outputs, other.outputs, strict=False):
            pending.extend(_readers(found, given, gives, strict))


def _above(
    found: Match, mine: ir.Value | None, theirs: ir.Value | None, strict: bool, reach: int
) -> Iterator[tuple[ir.Node, ir.Node]]:
    """Pair the producers of two values, or the nearest ones above them that can be."""
    lefts = list(_climb(found.first, mine, found.nodes, reach))
    rights = list(_climb(found.second, theirs, found.back, reach))
    steps = [(i, j) for i in range(len(lefts)) for j in range(len(rights))]
    for i, j in sorted(steps, key=sum):
        pairs = list(_meet(found, [lefts[i]], [rights[j]], strict))
        if pairs:
            yield from pairs
            return


def _climb(
    scope: Scope, value: ir.Value | None, paired: Mapping[int, ir.Node], reach: int
) -> Iterator[ir.Node]:
    """Yield the producer of a value, and unpaired ones above it along a chain."""
    for _ in range(reach + 1):
        node = scope.producer(value)
        if node is None or id(node) in paired:
            return
        yield node
        computed = [read for read in node.inputs if scope.varies(read)]
        if len(computed) != 1:
            return
        value = computed[0]


def _readers(
    found: Match, mine: ir.Value, theirs: ir.Value, strict: bool
) -> Iterator[tuple[ir.Node, ir.Node]]:
    slots: dict[Slot, tuple[list[ir.Node], list[ir.Node]]] = {}
    for side, (scope, value) in enumerate([(found.first, mine), (found.second, theirs)]):
        for node, slot in scope.readers[id(value)]:
            slots.setdefault(slot, ([], []))[side].append(node)
    for one, other in slots.values():
        yield from _meet(found, one, other, strict)


def _meet(
    found: Match,
    mine: Iterable[ir.Node | None],
    theirs: Iterable[ir.Node | None],
    strict: bool,
) -> Iterator[tuple[ir.Node, ir.Node]]:
    """Pair those that are alone with their operator on either side."""
    kinds: dict[Hashable, tuple[dict[int, ir.Node], dict[int, ir.Node]]] = {}
    for side, (nodes, paired) in enumerate([(mine, found.nodes), (theirs, found.back)]):
        for node in nodes:
            if node is not None and id(node) not in paired:
                key = (operator(node), attributes_key(node) if strict else None)
                kinds.setdefault(key, ({}, {}))[side][id(node)] = node
    for left, right in kinds.values():
        if len(left) == len(right) == 1:
            one, other = next(iter(left.values())), next(iter(right.values()))
            found.pair(one, other)
            yield one, other
