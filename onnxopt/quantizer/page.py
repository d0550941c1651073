"""A quantization as a page: the choice, everything that was tried, and what each layer costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from onnxopt.page import Interval, Page, Plot, Spot, bars, forest, scatter
from onnxopt.quantizer.report import COLUMNS, QuantizeReport, Sensitivity, Tried
from onnxopt.render import bytes_text

_LAYERS = (
    "Each layer quantized alone: the signal over the error that it leaves at the outputs, less is "
    "worse, and the time that it saves in a run, what it costs to change forms not counted."
)


def page_of(report: QuantizeReport) -> Page:
    """Put a quantization on a page."""
    page = Page(f"{report.model}: quantized", f"For {report.target}, {report.seconds:.0f} s.")
    chosen = next((row for row in report.tried if row.scheme == report.chosen), None)
    page.tiles([("taken", report.chosen, report.why), *_tiles(chosen)])
    for warning in report.warnings:
        page.say("warning", warning)
    page.heading("What was tried").table(COLUMNS, [row.cells() for row in report.tried])
    page.text(report.counted())
    ratios = [
        Interval(row.scheme, row.latency.value, row.latency.low, row.latency.high)
        for row in report.tried
        if row.latency is not None
    ]
    if ratios:
        page.figure(
            forest(ratios, axis="time of a run over that of the model given"),
            "Dots are estimates, lines their 95 % intervals. Left of 1 is faster.",
        )
    for row in report.tried:
        for remark in row.remarks():
            page.say("warning" if row.refused else "note", remark)
    for row in report.tried:
        if row.sensitivity:
            _layers(page, row)
    if report.pipeline:
        page.heading("Repeat it").code(report.pipeline)
    for note in (*report.notes, *report.unsteady):
        page.say("note", note)
    return page


def _tiles(row: Tried | None) -> list[tuple[str, str, str]]:
    if row is None:
        return []
    found = []
    if row.latency is not None:
        found.append(("latency", f"{row.latency.value:.2f}", "of the given model's"))
    if row.sqnr_db is not None and math.isfinite(row.sqnr_db):
        asked = "" if row.least_db is None else f"the types explain {row.least_db:.0f} dB"
        found.append(("signal over error", f"{row.sqnr_db:.1f} dB", asked))
    if row.agreement is not None:
        found.append(("agreement", f"{100 * row.agreement:.1f} %", "of decisions with float"))
    if row.weight_bytes:
        found.append(("weights", bytes_text(row.weight_bytes), ""))
    return found


def _layers(page: Page, row: Tried) -> None:
    page.heading(f"Layer by layer: {row.scheme}").text(_LAYERS)
    head = ("layer alone", "signal", "saves", "taken")
    page.table(head, [each.cells() for each in row.sensitivity], "Layers, the worst first")
    drawn = [each for each in row.sensitivity if math.isfinite(each.signal_db)]
    spots = [
        Spot(each.layer, each.gain_s, each.signal_db, "integer" if each.integer else "float")
        for each in drawn
        if each.gain_s is not None
    ]
    if spots:
        page.figure(
            scatter(
                spots,
                x="time saved in a run",
                y="signal over error alone",
                x_unit="s",
                y_unit="dB",
            ),
            "Layers at the lower left cost most and save least.",
        )
    elif drawn:
        page.figure(_by_signal(drawn))


def _by_signal(layers: Sequence[Sensitivity]) -> Plot:
    return bars(
        {each.layer: (each.signal_db,) for each in layers},
        series_names=("signal over error",),
        axis="signal over error of the outputs, the layer alone",
        unit="dB",
    )
