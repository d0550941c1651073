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
_HOPELESS = 50.0
"""Per cent below which an unseen difference is worth a number."""
_POWER = 1.43
"""From the half-width of a 95 % interval to the effect that is found in 80 % of trials."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One variant. Times are in seconds, and None where the variant did not get that far."""

    label: str
    model: str
    backend: str
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
                seen = (
                    f"; a change of {row.detectable:.1%} would have shown" if row.detectable else ""
                )
                paper.line(f"{row.label}: {row.verdict}{seen}")
            for place in row.fallbacks:
                paper.line(f"{row.label}: some nodes run on {place}")
        self._circumstances(paper)

    def _circumstances(self, paper: Paper) -> None:
        if self.noise is not None:
            low, high = self.noise.low, self.noise.high
            paper.line(f"noise floor: the baseline against itself is {low:.3f} to {high:.3f}")
        runs = sum(row.runs for row in self.rows)
        launches = max(row.launches for row in self.rows)
        stopped = ", interrupted" if self.interrupted else ""
        paper.line(f"{runs} runs, {launches} processes each, {self.seconds:.1f} s{stopped}")
        flags = f" ({' '.join(self.host.flags)})" if self.host.flags else ""
        paper.line(f"{self.host.cpu}, {self.host.cores} cores{flags}")
        for warning in self.warnings:
            paper.line(f"warning: {warning}")


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

    Both estimates are of logarithms of ratios.
    """
    floor = abs(noise.value) if noise is not None else 0.0
    return math.expm1(max((ratio.high - ratio.low) / 2 * _POWER, floor))


def verdict(ratio: Estimate, noise: Estimate | None) -> str:
    """Say in words what a logarithm of a ratio, given the baseline's against itself, shows.

    A difference counts when the whole interval lies beyond what the baseline differs from itself.
    """
    floor = abs(noise.value) if noise is not None else 0.0
    change = [100 * math.expm1(x) for x in (ratio.value, ratio.low, ratio.high)]
    if ratio.high < -floor:
        return f"faster by {-change[0]:.1f} % (95 %: {-change[2]:.1f} to {-change[1]:.1f})"
    if ratio.low > floor:
        return f"slower by {change[0]:.1f} % (95 %: {change[1]:.1f} to {change[2]:.1f})"
    bound = 100 * math.expm1(max(ratio.reach, floor))
    if bound > _HOPELESS:
        return "too noisy or too short to tell: measure longer, on a quieter machine"
    return f"no difference that could be measured (smaller than {bound:.1f} %)"
