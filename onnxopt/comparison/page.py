"""A comparison as a page."""

from __future__ import annotations

import math

from onnxopt.comparison.layers import Parting
from onnxopt.comparison.metrics import Kind
from onnxopt.comparison.report import CompareReport, Output, output_table
from onnxopt.comparison.words import change_text, decibels, layer_cells, parting_lines, share_text
from onnxopt.page import Page, Point, lines

_MOST = 140.0
"""Decibels at which equal tensors are drawn."""


def page_of(report: CompareReport) -> Page:
    """Put a comparison on a page: verdict, errors of outputs, metrics, layers."""
    page = Page(f"{report.names[0]} and {report.names[1]}", report.verdict)
    if report.within:
        page.say("ok", report.verdict)
    for fault in report.faults:
        page.say("problem", fault)
    page.tiles(_tiles(report))
    head, *rows = output_table(report)
    page.heading("Outputs").table(head, rows)
    for remark in report.remarks():
        page.text(remark)
    if report.metrics:
        page.heading("Metrics")
        for change in report.metrics:
            page.text(change_text(change))
    if report.parting is not None:
        _layers(page, report.parting)
    return page


def _tiles(report: CompareReport) -> list[tuple[str, str, str]]:
    worst = min(report.outputs, key=_rank)
    told = decibels(worst.errors.sqnr) if _rank(worst) > -math.inf else "not comparable"
    tiles = [("SQNR", told, f"of '{worst.name}', the least")]
    agreement = worst.errors.agreement
    if agreement is not None:
        tiles.append(("agreement", share_text(agreement.share), f"of {agreement.total:,} places"))
    for change in report.metrics[:2]:
        if change.name == "agreement":
            continue
        share = change.kind is Kind.SHARE
        after = share_text(change.after) if share else f"{change.after:.4g}"
        before = share_text(change.before) if share else f"{change.before:.4g}"
        tiles.append((change.name, after, f"was {before}"))
    return tiles


def _rank(output: Output) -> float:
    errors = output.errors
    if errors.strange or errors.misshapen is not None:
        return -math.inf
    return math.inf if math.isnan(errors.sqnr) else errors.sqnr


def _layers(page: Page, parting: Parting) -> None:
    page.heading("Where they part")
    for line in parting_lines(parting):
        page.text(line)
    if not parting.layers:
        return
    points = [
        Point(float(at), max(-20.0, min(layer.sqnr, _MOST)))
        for at, layer in enumerate(parting.layers)
        if not math.isnan(layer.sqnr) and not layer.doubtful
    ]
    if points:
        drawn = lines(
            {"tensor": points},
            x="matched tensor, in the order of the first model",
            y="SQNR in dB",
            from_zero=False,
        )
        page.figure(drawn, f"Signal to noise along the depth; {_MOST:g} dB stands for equal.")
    rows = [layer_cells(layer) for layer in parting.layers]
    page.table(["tensor", "operator", "node", "SQNR", "cosine"], rows, "All matched tensors")
