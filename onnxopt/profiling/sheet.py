"""A profile as a page: findings, bars by operator, the roofline, tables."""

from __future__ import annotations

from collections.abc import Sequence

from onnxopt.measure.text import time_text
from onnxopt.page import Ceiling, Mark, Page, bars, roofline
from onnxopt.profiling.report import ModelProfile, NodeRow, ProfileReport, names_of
from onnxopt.profiling.summary import (
    accounts,
    findings,
    graph_changes,
    headline,
    peaks_text,
    percent,
    remarks,
)
from onnxopt.profiling.text import (
    COMPARED,
    FUSION_HEAD,
    PAIR_HEAD,
    UNSURE,
    compared,
    fusion_cells,
    node_cells,
    node_head,
    operator_cells,
    operator_head,
    pair_cells,
)

_MOST_NODES = 500
_MOST_PAIRS = 200
_LETTERS = 200


def sheet(report: ProfileReport) -> Page:
    """Lay the report out."""
    labels = " and ".join(model.label for model in report.models)
    page = Page(f"Profile of {labels}", "Where the time goes, and what could be gained.")
    for model in report.models:
        page.say("note" if model.error is None else "problem", headline(model))
        for finding in findings(model):
            page.text(_sentence(finding))
    there = [model for model in report.models if model.nodes]
    if there:
        page.tiles([tile for model in there for tile in _tiles(model)])
        _operators(page, there)
    if len(there) == 2:
        _pairs(page, report)
    for model in there:
        _model(page, model, report)
    page.heading("How it was measured")
    for model in there:
        for account in accounts(model, report.charge):
            page.text(_sentence(f"{model.label}: {account}"))
    _circumstances(page, report)
    return page


def _tiles(model: ModelProfile) -> list[tuple[str, str, str]]:
    best = model.operators[0]
    return [
        (model.label, time_text(model.plain.value if model.plain else None), "a run"),
        (f"most in {best.op_type}", percent(best.share), f"{best.nodes} nodes"),
        ("nodes that run", str(len(model.nodes)), f"{model.put_in} put in by the runtime"),
    ]


def _operators(page: Page, there: Sequence[ModelProfile]) -> None:
    page.heading("Time by operator")
    names = names_of(there)
    times = [{(row.domain, row.op_type): row.spent_s for row in m.operators} for m in there]
    data = {name: [side.get(key, 0.0) for side in times] for key, name in names.items()}
    data = dict(sorted(data.items(), key=lambda entry: -max(entry[1])))
    labels = [model.label for model in there]
    page.figure(bars(data, series_names=labels, axis="time in a run", unit="s"))
    if len(there) == 2:
        page.table(("operator", *COMPARED), compared(*there), "Before and after")
    else:
        on_device = any(row.device_s for row in there[0].nodes)
        rows = [operator_cells(row, names, on_device=on_device) for row in there[0].operators]
        page.table(operator_head(on_device=on_device), rows)


def _pairs(page: Page, report: ProfileReport) -> None:
    page.heading("Node by node")
    if not report.pairs:
        page.text("The models have no values in common: nothing can be matched node by node.")
        return
    page.text(
        "Each row holds the nodes of both models that compute the same value from the same values; "
        "the surest large change comes first."
    )
    rows = [pair_cells(row, _LETTERS) for row in report.pairs[:_MOST_PAIRS]]
    page.table(PAIR_HEAD, rows, "Matched nodes").text(_sentence(UNSURE))


def _model(page: Page, model: ModelProfile, report: ProfileReport) -> None:
    page.heading(model.label)
    _roofline(page, model, report)
    on_device = any(row.device_s for row in model.nodes)
    shown = model.nodes[:_MOST_NODES]
    rows = [node_cells(row, _LETTERS, on_device=on_device) for row in shown]
    page.table(node_head(on_device=on_device), rows, f"Nodes of {model.label}, the slowest first")
    if model.fusions:
        page.table(
            FUSION_HEAD,
            [fusion_cells(row) for row in model.fusions],
            f"What the runtime made of {model.label}",
        )
        page.text(_sentence(graph_changes(model)))


def _roofline(page: Page, model: ModelProfile, report: ProfileReport) -> None:
    marks = [mark for row in model.nodes if (mark := _mark(row)) is not None]
    if report.peaks is None or not marks:
        return
    kinds = dict.fromkeys(row.kind for row in model.nodes if row.macs and row.kind)
    bandwidth = report.peaks.streams[-1].rate
    ceilings = [Ceiling(kind, report.peaks.macs[kind], bandwidth) for kind in kinds]
    page.figure(
        roofline(marks, ceilings),
        "Each mark is a node, its area its share of the time. The slope is the bandwidth of "
        "memory; what stays in a cache may lie above it.",
    )


def _mark(row: NodeRow) -> Mark | None:
    if not row.macs or not row.moved_bytes or not row.spent_s:
        return None
    return Mark(
        label=row.node,
        intensity=row.macs / row.moved_bytes,
        rate=row.macs / row.spent_s,
        weight=row.share,
        group=row.op_type,
    )


def _circumstances(page: Page, report: ProfileReport) -> None:
    if report.peaks is not None:
        page.text(_sentence(peaks_text(report.peaks)))
    for remark in remarks(report):
        kind, _, text = remark.partition(": ")
        page.say("warning" if kind == "warning" else "note", text)
    page.facts(
        {
            "processor": report.host.cpu,
            "cores": str(report.host.cores),
            "instruction sets": " ".join(report.host.flags),
            "system": report.host.system,
            **report.host.versions,
            "recorded runs": str(sum(model.runs for model in report.models)),
            "interrupted": "yes" if report.interrupted else "no",
        }
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
