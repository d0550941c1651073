"""The report of a measurement on a console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxopt.measure.percentiles import least, share_name
from onnxopt.render import Paper, bytes_text

if TYPE_CHECKING:
    from onnxopt.measure.report import BenchReport, Row

_SHOWN = (0.9, 0.99)
"""The percentiles with a column of their own; the others are in the JSON."""


def render(report: BenchReport, paper: Paper) -> None:
    """Write the table, what it means, and where it was taken."""
    columns = _columns(report)
    paper.table([list(columns), *(list(row) for row in zip(*columns.values(), strict=True))])
    paper.line()
    for row in report.rows:
        if row.error is not None:
            paper.line(row.problem)
        elif row.verdict:
            again = f"; {row.again}" if row.again else ""
            paper.line(f"{row.label}: {row.verdict}{again}")
        for place in row.fallbacks:
            paper.line(f"{row.label}: some nodes run on {place}")
    if any(row.median for row in report.rows) and "p90" not in columns:
        paper.line(f"p90 is left out: it needs at least {least(0.9)} runs of a process")
    _circumstances(report, paper)


def _columns(report: BenchReport) -> dict[str, list[str]]:
    """Return the columns by their heads; those that no row has anything for are left out."""
    rows = report.rows
    columns = {
        "model": [row.label for row in rows],
        "open": [time_text(row.open_s) for row in rows],
        "first run": [time_text(row.first_s) for row in rows],
        "median": [time_text(row.median.value if row.median else None) for row in rows],
    }
    for share in _SHOWN:
        columns[share_name(share)] = [time_text(_at(row, share)) for row in rows]
    columns["on device"] = [time_text(row.device.value if row.device else None) for row in rows]
    rates = [row.throughput for row in rows]
    columns["runs/s"] = ["-" if rate is None else f"{rate.value:.3g}" for rate in rates]
    columns["peak memory"] = [bytes_text(r.peak_bytes) if r.peak_bytes else "-" for r in rows]
    columns["ratio"] = [f"{row.ratio.value:.3f}" if row.ratio else "-" for row in rows]
    spans = [(row.ratio.low, row.ratio.high) if row.ratio else None for row in rows]
    columns["95 %"] = [f"{span[0]:.3f} to {span[1]:.3f}" if span else "-" for span in spans]
    optional = {share_name(share) for share in _SHOWN} | {"on device", "runs/s"}
    return {
        head: cells for head, cells in columns.items() if head not in optional or {*cells} != {"-"}
    }


def _circumstances(report: BenchReport, paper: Paper) -> None:
    for row in report.rows:
        if row.noise is not None:
            low, high = row.noise.low, row.noise.high
            paper.line(f"noise floor: {row.label} against itself is {low:.3f} to {high:.3f}")
    streams = max(row.streams for row in report.rows)
    if streams > 1:
        paper.line(f"ratios are of the time for each run, over {streams} streams of one session")
    runs = counted(sum(row.runs for row in report.rows), "run", "runs")
    launches = counted(max(row.launches for row in report.rows), "process", "processes")
    stopped = ", interrupted" if report.interrupted else ""
    paper.line(f"{runs}, {launches} each, {report.seconds:.1f} s{stopped}")
    host = report.host
    flags = f" ({' '.join(host.flags)})" if host.flags else ""
    paper.line(f"{host.cpu}, {counted(host.cores, 'core', 'cores')}{flags}")
    for warning in report.warnings:
        paper.line(f"warning: {warning}")
    for note in report.notes:
        paper.line(f"note: {note}")


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{count} {one if count == 1 else many}"


def _at(row: Row, share: float) -> float | None:
    return next((p.value for p in row.percentiles if p.share == share), None)


def time_text(seconds: float | None) -> str:
    """Return a time with three digits and a unit."""
    if seconds is None:
        return "-"
    if abs(seconds) < 5e-10:
        return "0"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"
