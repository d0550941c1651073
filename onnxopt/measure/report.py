"""What a measurement found, and what may be said about it."""

from __future__ import annotations

import dataclasses
import io
import json
import math

from onnxopt.measure.host import Host, Quiet
from onnxopt.measure.intervals import Estimate
from onnxopt.render import Paper, bytes_text

P90_FROM = 100
"""Runs below which a 90th percentile says little."""
_HOPELESS = 0.2
"""Share below which the bound of an unseen difference is worth a number."""
_POWER = 1.43
"""From the half-width of a 95 % interval to the effect that is found in 80 % of trials."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One variant. Times are in seconds, and None where the variant did not get that far."""

    label: str
    model: str
    backend: str
    """The target with its options as text, ``cpu{threads=2}``."""
    error: str | None
    launches: int
    runs: int
    median: Estimate | None
    """Steady state; the interval is over processes and blocks."""
    p90: float | None
    open_s: float | None
    first_s: float | None
    peak_bytes: int
    fallbacks: tuple[str, ...]
    """Providers other than the one asked for that some nodes run on."""
    ratio: Estimate | None
    """Latency over the baseline's, from blocks that ran side by side; None for the baseline."""
    detectable: float | None
    """The smallest change of latency, as a share, that this measurement would likely have seen."""
    verdict: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchReport:
    """All variants; the first is the baseline."""

    rows: tuple[Row, ...]
    noise: Estimate | None
    """The ratio of the baseline to itself, measured like any other variant."""
    host: Host
    quiet: Quiet
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    seed: int
    interrupted: bool

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def __str__(self) -> str:
        page = io.StringIO()
        self.render(Paper(page))
        return page.getvalue()

    def render(self, paper: Paper) -> None:
        """Write the table, what it means, and where it was taken."""
        head = ["model", "open", "first run", "median", "p90", "peak memory", "ratio", "95 %"]
        paper.table([head, *(_cells(row) for row in self.rows)])
        paper.line()
        for row in self.rows:
            if row.error is not None:
                paper.line(f"{row.label}: {row.error}")
            elif row.verdict:
                paper.line(f"{row.label}: {row.verdict}")
            for place in row.fallbacks:
                paper.line(f"{row.label}: some nodes run on {place}")
        if any(row.median is not None and row.p90 is None for row in self.rows):
            paper.line(f"p90 needs at least {P90_FROM} runs")
        self._circumstances(paper)

    def _circumstances(self, paper: Paper) -> None:
        if self.noise is not None:
            low, high = self.noise.low, self.noise.high
            paper.line(f"noise floor: the baseline against itself is {low:.3f} to {high:.3f}")
        runs = counted(sum(row.runs for row in self.rows), "run", "runs")
        launches = counted(max(row.launches for row in self.rows), "process", "processes")
        stopped = ", interrupted" if self.interrupted else ""
        paper.line(f"{runs}, {launches} each, {self.seconds:.1f} s{stopped}")
        flags = f" ({' '.join(self.host.flags)})" if self.host.flags else ""
        paper.line(f"{self.host.cpu}, {counted(self.host.cores, 'core', 'cores')}{flags}")
        for warning in self.warnings:
            paper.line(f"warning: {warning}")
        for note in self.notes:
            paper.line(f"note: {note}")


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{count} {one if count == 1 else many}"


def _cells(row: Row) -> list[str]:
    ratio = row.ratio
    return [
        row.label,
        time_text(row.open_s),
        time_text(row.first_s),
        time_text(row.median.value if row.median else None),
        time_text(row.p90),
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


def detectable(ratio: Estimate, noise: Estimate | None) -> float:
    """Return the smallest change of latency that would likely have been seen, as a share.

    Both estimates are of logarithms of ratios. Nothing within the noise floor is ever seen.
    """
    floor = noise.reach if noise is not None else 0.0
    return math.expm1(max((ratio.high - ratio.low) / 2 * _POWER, floor))


def verdict(ratio: Estimate, noise: Estimate | None) -> str:
    """Say in words what a logarithm of a ratio, given the baseline's against itself, shows.

    A difference counts when the ratio lies outside the noise floor, which is the interval of the
    baseline against itself, and its own interval lies beyond what the baseline differs from itself.
    Otherwise one bound is told: the far end of the interval or, where that is larger, the smallest
    change that would likely have been seen.
    """
    floor = noise or Estimate(0.0, 0.0, 0.0)
    apart = abs(floor.value)
    change = [100 * math.expm1(x) for x in (ratio.value, ratio.low, ratio.high)]
    if ratio.high < -apart and ratio.value < floor.low:
        return f"faster by {-change[0]:.1f} % (95 %: {-change[2]:.1f} to {-change[1]:.1f})"
    if ratio.low > apart and ratio.value > floor.high:
        return f"slower by {change[0]:.1f} % (95 %: {change[1]:.1f} to {change[2]:.1f})"
    bound = max(math.expm1(ratio.reach), detectable(ratio, noise))
    if bound > _HOPELESS:
        return "too noisy or too short to tell: measure longer, on a quieter machine"
    seen = ratio.high < 0 or ratio.low > 0
    what = "told from noise" if seen else "measured"
    return f"no difference that could be {what} (smaller than {100 * bound:.1f} %)"
