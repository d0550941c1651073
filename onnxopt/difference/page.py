"""A difference as a page."""

from __future__ import annotations

from onnxopt.difference.report import Difference, hunk_lines
from onnxopt.page import Page
from onnxopt.render import bytes_text

_SHOWN = 200
"""Kinds of hunks that are written out."""


def page_of(found: Difference) -> Page:
    """Put a difference on a page: summary, operators, then every kind of hunk."""
    before, after = found.before, found.after
    page = Page(f"{found.names[0]} and {found.names[1]}", found.summary)
    removed, added, changed = found.counts
    constants = found.notes.constants
    page.tiles(
        [
            ("removed", f"{removed:,}", f"of {before.nodes - constants[0]:,} nodes"),
            ("added", f"{added:,}", f"of {after.nodes - constants[1]:,} nodes"),
            ("changed", f"{changed:,}", f"{found.same:,} the same"),
            ("weights", bytes_text(after.weight_bytes), f"was {bytes_text(before.weight_bytes)}"),
        ]
    )
    for line in found.head:
        page.say("note", line)
    for line in found.notes.lines():
        page.say("note", line)
    groups = found.alike
    if groups:
        rows = [(group[0].title, str(len(group)), group[0].place) for group in groups]
        page.heading("Changes").table(("what", "times", "first at"), rows)
    names = sorted({*before.operators, *after.operators})
    changes = [n for n in names if before.operators.get(n, 0) != after.operators.get(n, 0)]
    if changes:
        page.heading("Operators").table(
            ("operator", "before", "after"),
            [(n, str(before.operators.get(n, 0)), str(after.operators.get(n, 0))) for n in changes],
        )
    if groups:
        page.heading("In the order of the graph")
    for group in groups[:_SHOWN]:
        page.code("\n".join(hunk_lines(group)))
    if len(groups) > _SHOWN:
        page.text(f"{len(groups) - _SHOWN} more kinds of changes are not shown; --json has all.")
    return page
