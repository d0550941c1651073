"""Which tensor of one model is which of another: by name, by structure, by what they hold."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
import onnx_ir as ir

from onnxopt.comparison.energy import continuous
from onnxopt.difference.match import Match, match

_SUPPORT = {"name": 0.03, "node": 0.02, "reader": 0.01, "inputs": 0.0}
"""What speaks for a pair, and how much it adds to the cosine where that leaves a choice."""

_LOOKS = 2048
"""Elements of a tensor that are looked at."""

_CERTAIN = 0.98
"""The cosine from which on contents alone make a pair."""

_MANY = 400
"""Tensors of one shape beyond which contents alone are not asked."""


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Pairs that may be: each with what speaks for it before anything runs."""

    pairs: dict[tuple[int, int], frozenset[str]]
    values: tuple[list[ir.Value], list[ir.Value]]
    """The tensors of either model that may be floating point."""

    @classmethod
    def of(cls, first: ir.Model, second: ir.Model) -> Self:
        """Find values of one name, values that one node computes, and values that one reads."""
        found = match(first.graph, second.graph)
        sides = (_computed(found, 0), _computed(found, 1))
        named = {value.name: value for value in sides[1] if value.name}
        known = [{id(value) for value in side} for side in sides]
        pairs: dict[tuple[int, int], frozenset[str]] = {}
        for kind, one, other in _proposed(found, sides[0], named):
            key = id(one), id(other)
            if key[0] in known[0] and key[1] in known[1]:
                pairs[key] = pairs.get(key, frozenset()) | {kind}
        return cls(pairs, sides)


def _computed(found: Match, side: int) -> list[ir.Value]:
    scope = (found.first, found.second)[side]
    return [
        value
        for node in scope.nodes
        for value in node.outputs
        if value.name and (value.dtype is None or value.dtype.is_floating_point())
    ]


def _proposed(
    found: Match, mine: Sequence[ir.Value], named: dict[str, ir.Value]
) -> Iterable[tuple[str, ir.Value, ir.Value]]:
    for value in mine:
        if value.name and value.name in named:
            yield "name", value, named[value.name]
    for one, other in found.pairs:
        for given, gives in zip(one.outputs, other.outputs, strict=False):
            yield "node", given, gives
            if _same_inputs(found, one, other):
                yield "inputs", given, gives
        for read, reads in zip(one.inputs, other.inputs, strict=False):
            if read is not None and reads is not None:
                yield "reader", read, reads


def _same_inputs(found: Match, one: ir.Node, other: ir.Node) -> bool:
    """Return whether all that varies of what a node reads corresponds."""
    mine = [found.values.get(id(value)) for value in one.inputs if found.first.varies(value)]
    theirs = [value for value in other.inputs if found.second.varies(value)]
    return mine == theirs


class Sketches:
    """A few elements of each tensor, always from the same places of tensors of one shape."""

    def __init__(self) -> None:
        self._held: dict[int, np.ndarray] = {}
        self._shapes: dict[int, Hashable] = {}

    def add(self, values: Iterable[tuple[ir.Value, np.ndarray]]) -> None:
        """Look at tensors as they come; those that hold no floating-point numbers do not count."""
        for value, array in values:
            if isinstance(array, np.ndarray) and continuous(array) and array.size:
                step = max(1, array.size // _LOOKS)
                looked = array.reshape(-1)[::step][:_LOOKS].astype(np.float32)
                self._held[id(value)] = np.nan_to_num(looked)
                self._shapes[id(value)] = array.shape

    def count(self, values: Iterable[ir.Value]) -> int:
        """Return how many of some tensors hold floating-point numbers."""
        return sum(id(value) in self._held for value in values)

    def shape(self, key: int) -> Hashable:
        """Return the shape of a tensor, None where it does not count."""
        return self._shapes.get(key)

    def cosine(self, one: int, other: int) -> float | None:
        """Return how much alike two tensors are; None where their shapes differ."""
        if self.shape(one) is None or self.shape(one) != self.shape(other):
            return None
        mine, theirs = self._held[one], self._held[other]
        if np.array_equal(mine, theirs):
            return 1.0
        length = float(np.linalg.norm(mine)) * float(np.linalg.norm(theirs))
        return float(mine @ theirs) / length if length else 0.0


class Pair(NamedTuple):
    """One tensor of both models."""

    one: ir.Value
    other: ir.Value
    sure: bool
    """Its name and its place speak for it, or all around it does: one node with the same inputs
    makes it, and one node reads it.
    """


def chosen_pairs(candidates: Candidates, sketches: Sketches) -> list[Pair]:
    """Choose pairs, each tensor once: those most alike first, a name or a place counting too."""
    values = {id(value): value for side in candidates.values for value in side}
    scored = [
        (alike + sum(_SUPPORT[kind] for kind in kinds), key)
        for key, kinds in candidates.pairs.items()
        if (alike := sketches.cosine(*key)) is not None
    ]
    pairs = _greedy(scored, set())
    left = _by_contents(candidates, sketches, {key for pair in pairs for key in pair})
    pairs += _greedy(left, {key for pair in pairs for key in pair})
    order = {id(value): at for at, value in enumerate(candidates.values[0])}
    return [
        Pair(values[key[0]], values[key[1]], _sure(candidates.pairs.get(key, frozenset())))
        for key in sorted(pairs, key=lambda pair: order[pair[0]])
    ]


def _sure(kinds: frozenset[str]) -> bool:
    return ("name" in kinds and len(kinds) > 1) or {"node", "inputs", "reader"} <= kinds


def _greedy(
    scored: Sequence[tuple[float, tuple[int, int]]], taken: set[int]
) -> list[tuple[int, int]]:
    pairs = []
    for _, (one, other) in sorted(scored, key=lambda entry: -entry[0]):
        if one not in taken and other not in taken:
            taken |= {one, other}
            pairs.append((one, other))
    return pairs


def _by_contents(
    candidates: Candidates, sketches: Sketches, taken: set[int]
) -> list[tuple[float, tuple[int, int]]]:
    """Find pairs among what is left that hold nearly the same."""
    shapes: dict[Hashable, tuple[list[int], list[int]]] = collections.defaultdict(lambda: ([], []))
    for side, values in enumerate(candidates.values):
        for value in values:
            shape = sketches.shape(id(value))
            if id(value) not in taken and shape is not None:
                shapes[shape][side].append(id(value))
    return [
        (alike, (one, other))
        for mine, theirs in shapes.values()
        if len(mine) * len(theirs) <= _MANY**2
        for one in mine
        for other in theirs
        if (alike := sketches.cosine(one, other) or 0.0) >= _CERTAIN
    ]
