"""What an export did: readable on a console or by a machine."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

from onnxopt.exporter.agreement import Agreed
from onnxopt.render import Paper, bytes_text
from onnxopt.report import Size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """One exporter that was tried."""

    exporter: str
    seconds: float
    refused: str | None = None
    """Why its file was not taken; None for the one that was."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportReport:
    """Where a model came from, how it was written and compared. ``str`` is for people."""

    source: str
    framework: str
    """Name and version; ``ONNX`` for what was a file already."""
    exporter: str | None
    attempts: tuple[Attempt, ...]
    inputs: tuple[str, ...]
    """As they are declared, ``ids:int64=batch,tokens``."""
    outputs: tuple[str, ...]
    opset: int
    size: Size
    agreed: tuple[Agreed, ...]
    """Every comparison with the framework's own outputs."""
    mended: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)

    def render(self, paper: Paper) -> None:
        """Write what was done, and why by this exporter."""
        by = f", by {self.exporter}" if self.exporter else ""
        paper.line(f"{self.source}: {self.framework}{by}, opset {self.opset}")
        paper.table(
            [
                ["inputs", " ".join(self.inputs)],
                ["outputs", " ".join(self.outputs)],
                ["nodes", str(self.size.nodes)],
                ["weights", bytes_text(self.size.weight_bytes)],
            ],
            left=(0, 1),
        )
        for attempt in self.attempts:
            if attempt.refused is not None:
                paper.line(f"{attempt.exporter}: not taken, {attempt.refused}")
        for each in self.agreed:
            paper.line(str(each))
        for each in self.agreed:
            for excuse in each.excused:
                paper.line(f"accepted: {excuse}")
        for text in self.mended:
            paper.line(f"mended: {text}")
        for text in self.notes:
            paper.line(f"note: {text}")

    def __str__(self) -> str:
        stream = io.StringIO()
        self.render(Paper(stream))
        return stream.getvalue().rstrip()
