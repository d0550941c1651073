"""A pruning as a page: totals, how sensitive each group is, and every layer."""

from __future__ import annotations

import math

from onnxopt.page import Page, Point, lines
from onnxopt.pruner.report import GroupRow, PruneReport, cost_text

_DRAWN = 8
"""Groups in one plot."""
_PLOTS = 6
_LAYERS = (
    "What the layers that read a group lose, as a share of what they compute, when it alone is cut "
    "and they make up for it."
)
_BETWEEN = "Some widths were tried; those between them are interpolated."
_SENSITIVITY = {
    "outputs": "What the outputs lose, as a share of their energy, when one group alone is cut and "
    "what reads it makes up for it.",
    "layers": _LAYERS,
    "uniform": _LAYERS,
    "importance": "The share of its group's importance that the channels that go have.",
}


def page_of(report: PruneReport) -> Page:
    """Put a pruning on a page."""
    page = Page(f"{report.model}: pruned channels", f"{report.aim}.")
    if not report.reached:
        page.say("problem", report.aim)
    for warning in report.warnings:
        page.say("warning", warning)
    page.tiles(
        [
            (name, after, f"was {before}" if share in ("-", after) else f"{share} of {before}")
            for name, before, after, share in report.totals()
        ]
    )
    for remark in report.remarks():
        page.text(remark)
    rows = [[row.name, str(row.before), str(row.after), cost_text(row)] for row in report.groups]
    page.heading("Groups").table(["channels of", "before", "after", report.cost_head], rows)
    page.heading("Sensitivity").text(f"{_SENSITIVITY[report.ratios]} {_BETWEEN}")
    _sensitivity(page, report.groups, report.cost_head)
    if report.layers:
        found = [[r.name, _percent(r.before), _percent(r.after)] for r in report.layers]
        page.heading("Refitted layers").text(
            "How far what a layer computes on the samples is from what the original's computed, "
            "over its variance: with the channels gone, and after its weights were refitted."
        ).table(["output of the layer", "error before", "error after"], found)
    return page


def _sensitivity(page: Page, groups: list[GroupRow], head: str) -> None:
    drawable = [row for row in groups if len(_points(row)) > 1]
    for start in range(0, min(len(drawable), _DRAWN * _PLOTS), _DRAWN):
        part = drawable[start : start + _DRAWN]
        page.figure(
            lines(
                {row.name: _points(row) for row in part},
                x="channels left, %",
                y=f"{head}, %",
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
