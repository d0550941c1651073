"""A difference that can be read: summary first, then hunks in the order of the graph."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

from onnxopt.difference.hunks import Hunk
from onnxopt.plain import json_text
from onnxopt.render import Paper, bytes_text
from onnxopt.report import Size

_NAMED = 3
"""Places of hunks alike that are named."""

_LINES = 12
"""Nodes of a hunk that are shown on either side."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notes:
    """What is no difference, and still good to know."""

    renamed: int
    """Values that go by another name."""
    reordered: bool
    annotated: int
    """Values whose type or shape only one of the models states, or one more precisely."""
    constants: tuple[int, int]
    """Constants that nodes hold and not initializers, in either model."""

    def lines(self) -> list[str]:
        """Return the lines a person reads."""
        lines = []
        if self.renamed:
            lines.append(f"{_count(self.renamed, 'value')} renamed")
        if self.reordered:
            lines.append("nodes stand in another order")
        if self.annotated:
            lines.append(f"shapes of {_count(self.annotated, 'value')} stated differently")
        return lines


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """What is different between two models."""

    names: tuple[str, str]
    before: Size
    after: Size
    head: tuple[str, ...]
    """What differs outside the nodes: signature, operator sets, metadata."""
    hunks: tuple[Hunk, ...]
    same: int
    """Nodes that both have and that do not differ, constants left out."""
    notes: Notes

    @property
    def equal(self) -> bool:
        """Whether the models differ in nothing but names, order and annotations."""
        return not self.head and not self.hunks

    @property
    def alike(self) -> list[list[Hunk]]:
        """Return the hunks in their order, those that are the same at different places together."""
        groups: dict[object, list[Hunk]] = {}
        for hunk in self.hunks:
            groups.setdefault(hunk.form, []).append(hunk)
        return list(groups.values())

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many nodes were removed, added and changed."""
        return (
            sum(len(hunk.removed) for hunk in self.hunks),
            sum(len(hunk.added) for hunk in self.hunks),
            sum(len(hunk.changed) for hunk in self.hunks),
        )

    @property
    def summary(self) -> str:
        """Say in one line how much differs."""
        if self.equal:
            return f"no difference: {_count(self.same, 'node')} the same"
        removed, added, changed = self.counts
        return (
            f"{_count(removed, 'node')} removed, {added} added, {changed} changed; "
            f"{self.same} the same"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        plain = dataclasses.asdict(self)
        plain["hunks"] = [hunk.to_dict() for hunk in self.hunks]
        return {"equal": self.equal, "summary": self.summary, **plain}

    def to_json(self) -> str:
        """Return the difference as JSON."""
        return json_text(self.to_dict())

    def __str__(self) -> str:
        page = io.StringIO()
        self.render(Paper(page))
        return page.getvalue()

    def render(self, paper: Paper, *, stat: bool = False) -> None:
        """Write the summary, then every hunk; with ``stat`` only how often each is there."""
        sides = zip("-+", self.names, (self.before, self.after), self.notes.constants, strict=True)
        for sign, name, size, constants in sides:
            nodes, weights = _count(size.nodes - constants, "node"), bytes_text(size.weight_bytes)
            held = f" and {constants:,} that hold constants" if constants else ""
            paper.line(f"{sign * 3} {name}  ({nodes}{held}, {weights} of weights)")
        paper.line(self.summary)
        for line in self.head:
            paper.line(f"  {line}")
        for line in self.notes.lines():
            paper.line(f"  note: {line}")
        groups = self.alike
        if stat and groups:
            paper.line()
            paper.table([["what", "times"], *([g[0].title, str(len(g))] for g in groups)])
        for group in () if stat else groups:
            paper.line()
            for line in hunk_lines(group):
                paper.line(line)


def hunk_lines(group: list[Hunk]) -> list[str]:
    """Return the first of some hunks that are alike, with how many there are and where."""
    hunk = group[0]
    times = f" ({len(group)} times)" if len(group) > 1 else ""
    scope = f" in {hunk.scope}" if hunk.scope else ""
    lines = [f"@@ {hunk.title} at '{hunk.place}'{scope}{times}"]
    for sign, nodes in (("-", hunk.removed), ("+", hunk.added)):
        lines += [f"{sign} {node.text}" for node in nodes[:_LINES]]
        if len(nodes) > _LINES:
            lines.append(f"{sign} … {len(nodes) - _LINES} more")
    for each in hunk.changed:
        lines.append(f"~ {each.node.text}")
        lines += [f"~   {change}" for change in each.changes]
    lines += [f"  read now: {text}" for text in hunk.rewired[:_NAMED]]
    if len(group) > 1:
        places = ", ".join(f"'{other.place}'" for other in group[1 : _NAMED + 1])
        rest = len(group) - 1 - _NAMED
        lines.append(f"  also at {places}{f' and {rest} more' if rest > 0 else ''}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
