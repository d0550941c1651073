"""What a deployment did: readable on a console, by a machine, and as a page."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

from onnxopt.measure.text import time_text
from onnxopt.render import Paper, bytes_text

GIVEN, EXPORTED = "given", "exported"
"""The first file: a model that is ONNX already, or what became of a framework's."""
OPTIMIZED, QUANTIZED = "optimized", "quantized"


COLUMNS = ("", "nodes", "weights", "median", "ratio (95 %)", "metric")

UNSTEADY = "the machine was not steady all the time; on a quiet one the figures may be others"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One file that could be deployed. Times are in seconds; ratios are to the first one."""

    label: str
    file: str
    nodes: int
    weight_bytes: int
    how: str = ""
    """The scheme by which it is quantized."""
    agrees: str = ""
    """How its outputs compare with the first one's, and what is allowed."""
    remarks: tuple[str, ...] = ()
    """What else is to be known of it."""
    metrics: tuple[str, ...] = ()
    median_s: float | None = None
    ratio: tuple[float, float, float] | None = None
    """The ratio of latencies and the ends of its 95 % interval."""
    outcome: str | None = None
    verdict: str = ""
    refused: str | None = None
    """Why it cannot be deployed."""

    @property
    def name(self) -> str:
        """What it is called, with its scheme."""
        return f"{self.label} ({self.how})" if self.how else self.label


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeployReport:
    """What was exported and changed, how exact and how fast it is. ``str`` is for people."""

    source: str
    target: str
    model: str
    """The file to deploy."""
    chosen: str
    why: str
    candidates: tuple[Candidate, ...]
    session: str
    """The target with the options to open it with, kept in the file: ``onnxopt.session``."""
    session_why: str
    export: dict[str, Any]
    changes: dict[str, int]
    """Rewrites by pass."""
    verification: str
    rolled_back: tuple[str, ...]
    """What was tried and not taken, with the reason."""
    commands: tuple[str, ...]
    """What repeats it, step by step."""
    warnings: tuple[str, ...]
    measurement: tuple[str, ...]
    """How steady the machine was: it makes intervals wide, not results wrong."""
    notes: list[str]
    reused: tuple[str, ...]
    """Stages whose results were there already."""
    host: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each candidate."""
        return [
            (
                each.name,
                str(each.nodes),
                bytes_text(each.weight_bytes),
                "-" if each.median_s is None else time_text(each.median_s),
                _ratio(each),
                "; ".join(each.metrics) or "-",
            )
            for each in self.candidates
        ]

    def render(self, paper: Paper) -> None:
        """Write the choice with its reason, the candidates, and how to use the file."""
        taken = next(each for each in self.candidates if each.label == self.chosen)
        paper.paragraph(f"{self.model}: the {taken.name} model, {self.why}")
        for warning in self.warnings:
            paper.paragraph(f"warning: {warning}")
        paper.line()
        paper.table([COLUMNS, *self.rows()], left=(0, 5))
        paper.line()
        for each in self.candidates[1:]:
            for said in (each.agrees, each.verdict, each.refused, *each.remarks):
                if said:
                    paper.paragraph(f"{each.label}: {said}")
        for text in self.rolled_back:
            paper.paragraph(f"not taken: {text}")
        paper.line()
        paper.paragraph(f'use it: onnxopt.session("{self.model}").run(feeds)')
        paper.paragraph(f"it opens as {self.session}: {self.session_why}")
        for note in self.notes:
            paper.paragraph(f"note: {note}")
        if self.measurement:
            paper.paragraph(f"note: {UNSTEADY}; report.json has what was seen")
        paper.paragraph(self.spent())
        paper.line("repeat it step by step:")
        for command in self.commands:
            paper.line(f"  {command}")

    def spent(self) -> str:
        """Say how long it took, and what was there already."""
        kept = f"; kept from before: {', '.join(self.reused)}" if self.reused else ""
        return f"on {self.host}, {self.seconds:.0f} s{kept}"

    def __str__(self) -> str:
        stream = io.StringIO()
        self.render(Paper(stream))
        return stream.getvalue().rstrip()


def _ratio(each: Candidate) -> str:
    if each.ratio is None:
        return "-"
    value, low, high = each.ratio
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
