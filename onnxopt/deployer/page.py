"""A deployment as a page."""

from __future__ import annotations

from onnxopt.deployer.code import plain_code
from onnxopt.deployer.report import (
    COLUMNS,
    QUANTIZED,
    Candidate,
    DeployReport,
    span_text,
)
from onnxopt.measure.text import time_text
from onnxopt.page import Interval, Kind, Page, bars, forest
from onnxopt.render import bytes_text


def page_of(report: DeployReport) -> Page:
    """Put a deployment on a page: the choice, speed, exactness, what was changed, how to repeat."""
    best = report.taken
    page = Page(
        f"{report.model} for {report.target}: the {best.name} model",
        f"Made of {report.source}, {report.spent()}.",
    )
    page.tiles(_tiles(report))
    page.text(f"Why the {best.name} one: {report.why}.")
    for warning in report.warnings:
        page.say("warning", warning)
    page.heading("Use it").code(
        f'import onnxopt\n\nwith onnxopt.session("{report.model}") as session:\n'
        f"    outputs = session.run({report.fed()})"
    )
    plain = plain_code(report.model, report.session)
    if plain:
        *options, opened = plain
        code = "\n".join(["import onnxruntime", "", *options, f"session = {opened}"])
        page.text("The same with ONNX Runtime alone:").code(code)
    page.text(f"The file is opened as {report.session}: {report.session_why}.")
    _speed(page, report)
    page.heading("How exact it is")
    for each in report.candidates[1:]:
        _exact(page, each)
    _changes(page, report)
    page.heading("Repeat it").text(f"Step by step{report.steps()}:").code("\n".join(report.lines()))
    for note in report.notes:
        page.say("note", note)
    if report.measurement:
        page.heading("How steady the machine was").text(_sentence(report.unsteady()))
        for text in report.measurement:
            page.text(text)
    return page


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _tiles(report: DeployReport) -> list[tuple[str, str, str]]:
    best, first = report.taken, report.candidates[0]
    tiles = [("to deploy", best.label, best.how or f"computes the same as the {first.label} one")]
    ratio = report.shipped[-1].ratio if report.shipped else best.ratio
    if ratio is not None and best.outcome != "unknown":
        tiles.append(("latency", f"{ratio[0]:.2f}", f"of the {first.label} model's"))
    for metric in best.metrics[:1]:
        tiles.append(
            (metric.name, metric.ends()[1], f"was {metric.ends()[0]}, on {metric.examples:,}")
        )
    tiles.append(
        ("file", bytes_text(report.file_bytes[1]), f"was {bytes_text(report.file_bytes[0])}")
    )
    if best.label != QUANTIZED:
        tiles.append(("nodes", str(best.nodes), f"were {first.nodes}"))
    return tiles


def _exact(page: Page, each: Candidate) -> None:
    kind: Kind = "ok" if each.refused is None else "warning"
    page.say(kind, f"{each.name}: {each.refused or each.agrees}")
    for remark in (each.checked and f"While it was made: {each.checked}.", *each.remarks):
        if remark:
            page.text(remark)
    apart = [near for near in each.outputs if near.sqnr_db is not None]
    if apart:
        cells = [
            (
                near.output,
                f"{near.sqnr_db:.1f} dB",
                "-" if near.agreement is None else f"{100 * near.agreement:.2f} %",
            )
            for near in apart
        ]
        page.table(("output", "signal over error", "largest element the same"), cells, each.name)


def _speed(page: Page, report: DeployReport) -> None:
    first = report.candidates[0].label
    page.heading("How fast and how large it is")
    page.table(COLUMNS, report.rows())
    page.text(report.legend())
    ratios = [Interval(e.name, *e.ratio) for e in report.candidates if e.ratio is not None]
    if ratios:
        page.figure(
            forest(ratios, axis=f"time of a run over the {first} model's"),
            "Dots are estimates, lines their 95 % intervals; the scale is logarithmic. Left of 1 "
            "is faster.",
        )
    sizes = {each.name: (float(each.weight_bytes),) for each in report.candidates}
    page.figure(bars(sizes, series_names=("weights",), axis="bytes of weights", unit="B"))
    _opening(page, report)


def _opening(page: Page, report: DeployReport) -> None:
    first = report.candidates[0].label
    opened = [(each.name, each.open_s, each.peak_bytes) for each in report.candidates]
    if any(seconds for _, seconds, _ in opened):
        costs = [
            (name, time_text(seconds), bytes_text(peak) if peak else "-")
            for name, seconds, peak in opened
        ]
        page.table(("", "to open", "peak memory"), costs, "What opening costs")
    beside = report.ways[0].target if report.ways else ""
    for title, ways in (
        (f"Ways to open it, beside {beside}", report.ways),
        (f"As it ships, beside the {first} one opened by default", report.shipped),
    ):
        cells = [
            (
                each.target,
                each.means,
                time_text(each.median_s),
                span_text(each.ratio) if each.ratio else "-",
                each.verdict or "-",
            )
            for each in ways
        ]
        if cells:
            page.table(("opened as", "means", "median", "ratio (95 %)", "verdict"), cells, title)


def _changes(page: Page, report: DeployReport) -> None:
    page.heading("What was exported and changed")
    exported = report.export
    by = f" by {exported['exporter']}" if exported.get("exporter") else ""
    page.text(
        f"{report.source}: {exported.get('framework', 'ONNX')}{by}."
        if by
        else f"{report.source} is ONNX already: it was not exported."
    )
    for each in exported.get("agreed", ()):
        page.text(f"{each['label']}: equal to the framework within {each['relative']:.1e}.")
    for text in exported.get("mended", ()):
        page.say("note", f"mended: {text}")
    for candidate in report.candidates:
        if candidate.changes:
            rows = [(name, str(count)) for name, count in candidate.changes.items()]
            page.table(
                ("pass", "nodes or values changed"),
                rows,
                f"Rewrites that made the {candidate.name} model",
            )
    page.heading("Tried and not taken")
    for text in report.not_taken or ("nothing",):
        page.text(text)
