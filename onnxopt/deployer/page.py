"""A deployment as a page."""

from __future__ import annotations

from onnxopt.deployer.report import COLUMNS, UNSTEADY, DeployReport
from onnxopt.page import Interval, Kind, Page, bars, forest
from onnxopt.render import bytes_text


def page_of(report: DeployReport) -> Page:
    """Put a deployment on a page: the choice, speed, exactness, what was changed, how to repeat."""
    page = Page(
        f"{report.model}, ready to run",
        f"Made of {report.source}, {report.spent()}.",
    )
    first = report.candidates[0]
    best = next(each for each in report.candidates if each.label == report.chosen)
    tiles = [("to deploy", best.name, report.why)]
    if best.ratio is not None:
        tiles.append(("latency", f"{best.ratio[0]:.2f}", f"of the {first.label} model's"))
    tiles.append(
        ("weights", bytes_text(best.weight_bytes), f"were {bytes_text(first.weight_bytes)}")
    )
    tiles.append(("nodes", str(best.nodes), f"were {first.nodes}"))
    page.tiles(tiles)
    for warning in report.warnings:
        page.say("warning", warning)
    page.heading("Use it").code(
        f'import onnxopt\n\nwith onnxopt.session("{report.model}") as session:\n'
        "    outputs = session.run(feeds)"
    )
    page.text(f"The file is opened as {report.session}: {report.session_why}.")
    _speed(page, report)
    page.heading("How exact it is")
    for each in report.candidates[1:]:
        kind: Kind = "ok" if each.refused is None else "warning"
        page.say(kind, f"{each.name}: {each.refused or each.agrees}")
        for remark in each.remarks:
            page.text(remark)
    _changes(page, report)
    page.heading("Repeat it").code("\n".join(report.commands))
    for note in report.notes:
        page.say("note", note)
    if report.measurement:
        page.heading("How steady the machine was").text(f"{UNSTEADY[0].upper()}{UNSTEADY[1:]}.")
        for text in report.measurement:
            page.text(text)
    return page


def _speed(page: Page, report: DeployReport) -> None:
    page.heading("How fast and how large it is")
    page.table(COLUMNS, report.rows())
    ratios = [Interval(e.name, *e.ratio) for e in report.candidates if e.ratio is not None]
    if ratios:
        page.figure(
            forest(ratios, axis=f"time of a run over the {report.candidates[0].label} model's"),
            "Dots are estimates, lines their 95 % intervals. Left of 1 is faster.",
        )
    sizes = {each.name: (float(each.weight_bytes),) for each in report.candidates}
    page.figure(bars(sizes, series_names=("weights",), axis="bytes of weights", unit="B"))


def _changes(page: Page, report: DeployReport) -> None:
    page.heading("What was exported and changed")
    exported = report.export
    by = f" by {exported['exporter']}" if exported.get("exporter") else ""
    page.text(f"{report.source}: {exported.get('framework', 'ONNX')}{by}.")
    for each in exported.get("agreed", ()):
        page.text(f"{each['label']}: equal to the framework within {each['relative']:.1e}.")
    for text in exported.get("mended", ()):
        page.say("note", f"mended: {text}")
    if report.changes:
        rows = [(name, str(count)) for name, count in report.changes.items()]
        page.table(("pass", "changes"), rows, "Rewrites")
    page.text(report.verification)
    page.heading("Tried and not taken")
    for text in report.rolled_back or ("nothing",):
        page.text(text)
