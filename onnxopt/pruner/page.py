"""A pruning as a page: totals, how sensitive each group is, and every layer."""

from __future__ import annotations

import math

from onnxopt.page import Page, Point, lines
from onnxopt.pruner.report import GroupRow, PruneReport, cost_text

_DRAWN = 8
"""Groups in one plot."""
_PLOTS = 6


def page_of(report: PruneReport) -> Page:
    """Put a pruning on a page."""
    left = f"{100 * report.left:.1f} % of its {report.of} are left"
    page = Page("Pruned channels", f"{left}, {100 * report.share:.1f} % were asked for.")
    page.say("ok" if report.reached else "problem", left)
    for warning in report.warnings:
        page.say("warning", warning)
    tiles = [
        (name, after, f"{share} of {before}") for name, before, after, share in report.totals()
    ]
    page.tiles(tiles)
    for remark in report.remarks():
        page.text(remark)
    page.heading("Sensitivity").text(
        "What the outputs lose, as a share of their energy, when one group alone is cut and what "
        "reads it makes up for it."
    )
    _sensitivity(page, report.groups)
    rows = [[row.name, str(row.before), str(row.after), cost_text(row)] for row in report.groups]
    page.heading("Groups").table(["channels of", "before", "after", "output error alone"], rows)
    if report.layers:
        found = [[r.name, _percent(r.before), _percent(r.after)] for r in report.layers]
        page.heading("Refitted layers").table(["layer", "error before", "error after"], found)
    return page


def _sensitivity(page: Page, groups: list[GroupRow]) -> None:
    drawable = [row for row in groups if len(_points(row)) > 1]
    for start in range(0, min(len(drawable), _DRAWN * _PLOTS), _DRAWN):
        part = drawable[start : start + _DRAWN]
        page.figure(
            lines(
                {row.name: _points(row) for row in part},
                x="channels left, %",
                y="output error, %",
            )
        )


def _points(row: GroupRow) -> list[Point]:
    return [
        Point(100 * width / row.before, 100 * cost)
        for width, cost in sorted(row.costs.items())
        if math.isfinite(cost)
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if math.isfinite(share) else "-"
