"""The report of a measurement as a page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxopt.measure.intervals import Estimate
from onnxopt.measure.models import labels
from onnxopt.measure.text import counted, time_text
from onnxopt.measure.verdict import Outcome
from onnxopt.page import Band, Interval, Kind, Page, Point, distribution, forest, lines
from onnxopt.render import bytes_text

if TYPE_CHECKING:
    from onnxopt.measure.report import BenchReport, Row

_TILES = 6
_DRAWN = 12
"""Variants beyond which their distributions are no longer drawn below one another."""
_KINDS: dict[Outcome | None, Kind] = {"faster": "ok", "slower": "warning"}
"""How an outcome stands out."""
_AXES = ("batch", "threads", "streams")


def page_of(report: BenchReport, command: Sequence[str] = ()) -> Page:
    """Put a report on a page: verdicts, ratios, distributions, times by what was varied, the host.

    ``command`` is what repeats the measurement, as words of a shell.
    """
    names = list(dict.fromkeys(row.model for row in report.rows))
    page = Page(f"Latency of {' and '.join(map(_file, names))}", _summary(report))
    _outcome(page, report)
    _ratios(page, report.rows)
    _against(page, report.rows)
    _distributions(page, report.rows)
    _tables(page, report.rows)
    _circumstances(page, report, command)
    return page


def _file(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _summary(report: BenchReport) -> str:
    runs = counted(sum(row.runs for row in report.rows), "run", "runs")
    launches = counted(max(row.launches for row in report.rows), "process", "processes")
    stopped = ", interrupted" if report.interrupted else ""
    cores = counted(report.host.cores, "core", "cores")
    took = f"{report.seconds:.1f} s{stopped}"
    return f"{runs} in {launches} a model, {took}, on {cores} of {report.host.cpu}."


def _outcome(page: Page, report: BenchReport) -> None:
    measured = [row for row in report.rows if row.median is not None]
    page.tiles([_tile(row) for row in measured[:_TILES]])
    for row in report.rows:
        if row.error is not None:
            page.say("problem", row.problem)
        elif row.verdict:
            again = f"; {row.again}" if row.again else ""
            page.say(_KINDS.get(row.outcome, "note"), f"{row.label}: {row.verdict}{again}")
        for place in row.fallbacks:
            page.say("warning", f"{row.label}: some nodes run on {place}")
    for warning in report.warnings:
        page.say("warning", warning)
    for note in report.notes:
        page.say("note", note)


def _tile(row: Row) -> tuple[str, str, str]:
    remark = "median latency"
    if row.ratio is not None:
        remark = f"{row.ratio.value:.3f} of {row.baseline}"
    return row.label, time_text(row.median.value if row.median else None), remark


def _ratios(page: Page, rows: Sequence[Row]) -> None:
    estimates = [_interval(row.label, row.ratio) for row in rows if row.ratio is not None]
    if not estimates:
        return
    floors = {row.label: row.noise for row in rows if row.noise is not None}
    band = None
    if len(floors) == 1:
        (floor,) = floors.values()
        band = Band("noise floor: the baseline against itself", floor.low, floor.high)
    else:
        estimates += [_interval(f"{label} against itself", at) for label, at in floors.items()]
    page.heading("Ratio to the baseline")
    page.figure(
        forest(estimates, axis="time of a run over the baseline's", band=band),
        "Dots are estimates, lines their 95 % intervals over processes and blocks that ran side by "
        "side. Left of 1 is faster. What lies within the noise floor is no difference.",
    )


def _interval(label: str, estimate: Estimate) -> Interval:
    return Interval(label, estimate.value, estimate.low, estimate.high)


def _against(page: Page, rows: Sequence[Row]) -> None:
    """Draw time against each of batch, threads and streams that takes several values."""
    for axis in _AXES:
        values = {_value(row, axis) for row in rows if row.median is not None}
        if len(values - {None}) < 2:
            continue
        series: dict[str, list[Point]] = {}
        for row in sorted(rows, key=lambda row: _value(row, axis) or 0):
            place = _value(row, axis)
            if row.median is not None and place is not None:
                found = series.setdefault(_others(row, axis, rows), [])
                median = row.median
                found.append(Point(place, median.value, median.low, median.high))
        page.heading(f"Time against {axis}")
        page.figure(
            lines(series, x=axis, y="median latency", unit="s"),
            "Medians in the steady state; the shade is their 95 % interval.",
        )


def _value(row: Row, axis: str) -> int | None:
    return {"batch": row.batch, "threads": row.threads, "streams": row.streams}[axis]


def _others(row: Row, axis: str, rows: Sequence[Row]) -> str:
    """Name a series by the model and by what else differs among the rows."""
    models = [Path(each) for each in dict.fromkeys(each.model for each in rows)]
    parts = [dict(zip(map(str, models), labels(models), strict=True))[str(Path(row.model))]]
    targets = {_bare(each) for each in rows}
    if len(targets) > 1:
        parts.append(_bare(row))
    if len({each.shapes for each in rows}) > 1:
        parts.append(" ".join(row.shapes))
    for other in _AXES:
        if other != axis and len({_value(each, other) for each in rows}) > 1:
            parts.append(f"{other} {_value(row, other)}")
    return ", ".join(part for part in parts if part)


def _bare(row: Row) -> str:
    """Return the target with its options, but for the threads, which have an axis."""
    return re.sub(r"\bthreads=\d+(, )?", "", row.backend).replace("{}", "")


def _distributions(page: Page, rows: Sequence[Row]) -> None:
    samples = {row.label: row.sample for row in rows if row.sample}
    if not samples:
        return
    shown = dict(list(samples.items())[:_DRAWN])
    left = f" The first {_DRAWN} of {len(samples)} are drawn." if len(samples) > _DRAWN else ""
    page.heading("Distribution of single runs")
    page.figure(
        distribution(shown, axis="time of one run"),
        "Times of runs at even steps of the ordered sample; the line is the median." + left,
    )


def _tables(page: Page, rows: Sequence[Row]) -> None:
    page.heading("Figures")
    header = ("variant", "target", "open", "first run", "median", "95 %", "peak memory", "runs")
    page.table(header, [_figures(row) for row in rows])
    found = [(row.label, percentile) for row in rows for percentile in row.percentiles]
    if found:
        cells = [
            (label, each.name, time_text(each.value), _span(each.low, each.high))
            for label, each in found
        ]
        page.heading("Percentiles")
        page.text("Only those that the number of independent runs supports.")
        page.table(("variant", "percentile", "time", "95 %"), cells)
    rates = [
        (row.label, what, f"{found.value:.4g} {unit}", f"{found.low:.4g} to {found.high:.4g}")
        for row in rows
        for what, found, unit in _rates(row)
    ]
    if rates:
        page.table(("variant", "measure", "value", "95 %"), rates, "Further measures")


def _rates(row: Row) -> list[tuple[str, Estimate, str]]:
    found = []
    if row.throughput is not None:
        found.append((f"throughput over {row.streams} streams", row.throughput, "runs/s"))
    if row.device is not None:
        device = row.device
        scaled = Estimate(1e3 * device.value, 1e3 * device.low, 1e3 * device.high)
        found.append(("time on the device", scaled, "ms"))
    return found


def _figures(row: Row) -> tuple[str, ...]:
    median = row.median
    return (
        row.label,
        row.backend,
        time_text(row.open_s),
        time_text(row.first_s),
        time_text(median.value if median else None),
        _span(median.low, median.high) if median else "-",
        bytes_text(row.peak_bytes) if row.peak_bytes else "-",
        str(row.runs),
    )


def _span(low: float, high: float) -> str:
    return f"{time_text(low)} to {time_text(high)}"


def _circumstances(page: Page, report: BenchReport, command: Sequence[str]) -> None:
    host = report.host
    facts = {
        "CPU": host.cpu,
        "instruction sets": " ".join(host.flags),
        "logical cores": str(host.cores),
        "governor": host.governor,
        "turbo": host.turbo,
        "GPU": host.gpu,
        "system": host.system,
        "versions": ", ".join(f"{name} {version}" for name, version in host.versions.items()),
        "taken by other processes": f"{100 * report.quiet.others:.1f} % of the cores",
        "taken by other machines": f"{100 * report.quiet.steal:.1f} % of the cores",
        "seed": str(report.seed),
    }
    page.heading("Where it was measured")
    page.facts({name: value for name, value in facts.items() if value})
    if command:
        page.text("To repeat it:").code(shlex.join(command))
