"""What a measurement found."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxopt.host import Host
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.load import Quiet
from onnxopt.measure.percentiles import Percentile
from onnxopt.measure.text import render, time_text
from onnxopt.measure.verdict import Outcome
from onnxopt.plain import json_text
from onnxopt.render import Paper

if TYPE_CHECKING:
    from onnxopt.page import Page


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen:
    """The best of several, which is measured twice: where all took turns, then by itself."""

    ratio: Estimate
    """Of the first measurement, for which it was chosen."""
    second: Estimate
    """Of the second measurement."""
    median: Estimate | None
    """Seconds, in the first measurement."""
    beside: Estimate | None
    """The baseline's median in the second measurement, of these two alone, in seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One variant. Times are in seconds, and None where the variant did not get that far."""

    label: str
    model: str
    backend: str
    """The target with its options as text, ``cpu{threads=2}``."""
    provider: str
    """The target alone."""
    threads: int
    """Threads inside one operator; 0 is the runtime's choice."""
    batch: int | None = None
    """The batch that was asked for; None where the feeds came as they were."""
    shapes: tuple[str, ...] = ()
    """The shapes that were asked for, ``x=1,3,224,224``."""
    streams: int = 1
    """Callers of one session at the same time."""
    feeds_hash: str = ""
    """SHA-256 of the feeds: equal where two rows ran on the same."""
    error: str | None = None
    launches: int = 0
    """Processes that were measured."""
    runs: int = 0
    median: Estimate | None = None
    """Latency in the steady state; the interval is over processes and blocks."""
    percentiles: tuple[Percentile, ...] = ()
    """Those of p50, p90, p95, p99 and p99.9 that the number of runs supports."""
    sample: tuple[float, ...] = ()
    """At most 200 times of single runs at even steps of the ordered sample, to draw them."""
    processes: tuple[float, ...] = ()
    """The middle of the blocks' medians of each process."""
    throughput: Estimate | None = None
    """Runs a second over all streams."""
    device: Estimate | None = None
    """Time on the device by its own clock, where it has one."""
    open_s: float | None = None
    first_s: float | None = None
    peak_bytes: int = 0
    fallbacks: tuple[str, ...] = ()
    """Providers other than the one asked for that some nodes run on."""
    baseline: str | None = None
    """The label of the row that this one is compared with; None for a baseline."""
    ratio: Estimate | None = None
    """Time of a run over the baseline's, from blocks that ran side by side."""
    chosen: Chosen | None = None
    """Of the best of several: both its measurements. Where it is faster, its ratio is the mean of
    the two (of their logarithms), and its interval holds both; all else is of the second."""
    noise: Estimate | None = None
    """Of a baseline: the ratio to itself, measured like any other variant."""
    detectable: float | None = None
    """The smallest change of latency, as a share, that this measurement would likely have seen."""
    outcome: Outcome | None = None
    verdict: str = ""
    """The outcome in words."""

    @property
    def again(self) -> str:
        """Say of the best of several that it was measured twice, and what came of it."""
        if self.chosen is None:
            return ""
        first, second = self.chosen.ratio, self.chosen.second
        counts = "the interval holds both" if self.outcome == "faster" else "which counts"
        said = (
            f"measured twice, as the best of several: {first.value:.3f}, then {second.value:.3f} "
            f"by itself; {counts}"
        )
        if self.median is not None and self.chosen.beside is not None:
            medians = (time_text(each.value) for each in (self.median, self.chosen.beside))
            said += "; medians of the second, {} to {}".format(*medians)
        return said

    @property
    def problem(self) -> str:
        """What went wrong, with the name of what it went wrong with."""
        named = str(self.error).startswith((f"{self.label}: ", f"{self.model}: "))
        return str(self.error) if named else f"{self.label}: {self.error}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchReport:
    """All variants; the first is a baseline."""

    rows: tuple[Row, ...]
    host: Host
    quiet: Quiet
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    seed: int
    interrupted: bool

    @property
    def slower(self) -> bool:
        """Whether anything is slower than what it was compared with, beyond the interval."""
        return any(row.outcome == "slower" for row in self.rows)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json_text(dataclasses.asdict(self))

    def __str__(self) -> str:
        page = io.StringIO()
        self.render(Paper(page))
        return page.getvalue()

    def page(self, command: Sequence[str] = ()) -> Page:
        """Return the report as a page to save; ``command`` is what repeats it, word by word.

        Raises UsageError where the extra ``html`` is missing.
        """
        from onnxopt.measure.page import page_of

        return page_of(self, command)

    def render(self, paper: Paper) -> None:
        """Write the table, what it means, and where it was taken."""
        render(self, paper)
