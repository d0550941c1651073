"""The report of a measurement on a console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxopt.measure.percentiles import SHARES, least, share_name
from onnxopt.render import Paper, bytes_text

if TYPE_CHECKING:
    from onnxopt.measure.report import BenchReport, Row

_SHOWN = (0.9, 0.99)
"""The percentiles with a column of their own; the others are in the JSON."""


def render(report: BenchReport, paper: Paper) -> None:
    """Write the table, what it means, and where it was taken."""
    shares = [share for share in _SHOWN if any(_at(row, share) for row in report.rows)]
    head = ["model", "open", "first run", "median", *map(share_name, shares)]
    paper.table(
        [[*head, "peak memory", "ratio", "95 %"], *(_cells(row, shares) for row in report.rows)]
    )
    paper.line()
    for row in report.rows:
        if row.error is not None:
            paper.line(f"{row.label}: {row.error}")
        elif row.verdict:
            paper.line(f"{row.label}: {row.verdict}")
        for place in row.fallbacks:
            paper.line(f"{row.label}: some nodes run on {place}")
    if not shares and any(row.median is not None for row in report.rows):
        paper.line(f"p90 needs at least {least(SHARES[1])} runs that are independent")
    _circumstances(report, paper)


def _circumstances(report: BenchReport, paper: Paper) -> None:
    for row in report.rows:
        if row.noise is not None:
            low, high = row.noise.low, row.noise.high
            paper.line(f"noise floor: {row.label} against itself is {low:.3f} to {high:.3f}")
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


def _cells(row: Row, shares: list[float]) -> list[str]:
    ratio = row.ratio
    return [
        row.label,
        time_text(row.open_s),
        time_text(row.first_s),
        time_text(row.median.value if row.median else None),
        *(time_text(_at(row, share)) for share in shares),
        bytes_text(row.peak_bytes) if row.peak_bytes else "-",
        f"{ratio.value:.3f}" if ratio else "-",
        f"{ratio.low:.3f} to {ratio.high:.3f}" if ratio else "-",
    ]


def time_text(seconds: float | None) -> str:
    """Return a time with three digits and a unit."""
    if seconds is None:
        return "-"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"
