"""What a deployment did: readable on a console, by a machine, and as a page."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

from onnxopt.render import Paper, bytes_text

EXPORTED, OPTIMIZED, QUANTIZED = "exported", "optimized", "quantized"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One file that could be deployed. Times are in seconds; ratios are to the exported model."""

    label: str
    file: str
    nodes: int
    weight_bytes: int
    agrees: str = ""
    """How its outputs compare with the exported model's."""
    metrics: tuple[str, ...] = ()
    median_s: float | None = None
    ratio: tuple[float, float, float] | None = None
    """The ratio of latencies and the ends of its 95 % interval."""
    outcome: str | None = None
    verdict: str = ""
    refused: str | None = None
    """Why it cannot be deployed."""


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
    """What was tried and is not in the file, with the reason."""
    commands: tuple[str, ...]
    """What repeats it, step by step."""
    warnings: tuple[str, ...]
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
                each.label,
                str(each.nodes),
                bytes_text(each.weight_bytes),
                "-" if each.median_s is None else f"{1000 * each.median_s:.3g} ms",
                _ratio(each),
                "; ".join(each.metrics) or "-",
            )
            for each in self.candidates
        ]

    def render(self, paper: Paper) -> None:
        """Write the candidates, the choice with its reason, and how to use the file."""
        for warning in self.warnings:
            paper.line(f"warning: {warning}")
        head = ("", "nodes", "weights", "median", "ratio (95 %)", "metric")
        paper.table([head, *self.rows()], left=(0, 5))
        paper.line()
        for each in self.candidates:
            said = "; ".join(text for text in (each.agrees, each.verdict, each.refused) if text)
            paper.line(f"{each.label}: {said}" if said else each.label)
        for text in self.rolled_back:
            paper.line(f"not in the file: {text}")
        paper.line()
        paper.line(f"{self.model}: the {self.chosen} model, {self.why}")
        paper.line(f"session: {self.session}, {self.session_why}")
        paper.line(f'use it:  onnxopt.session("{self.model}").run(feeds)')
        for note in self.notes:
            paper.line(f"note: {note}")
        paper.line("repeat it step by step:")
        for command in self.commands:
            paper.line(f"  {command}")

    def __str__(self) -> str:
        stream = io.StringIO()
        self.render(Paper(stream))
        return stream.getvalue().rstrip()


def _ratio(each: Candidate) -> str:
    if each.ratio is None:
        return "-"
    value, low, high = each.ratio
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
