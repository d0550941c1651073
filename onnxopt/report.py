"""What an optimization did: replayable, and readable on a console or by a machine."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Observer, Pass
from onnxopt.ops import label

if TYPE_CHECKING:
    from onnxopt.contents import Contents


@dataclasses.dataclass(kw_only=True)
class PassRecord:
    """What one pass did, all its runs together."""

    name: str
    runs: int = 0
    changes: int = 0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """How large a model is."""

    nodes: int
    """Nodes, those of subgraphs and functions included."""
    weight_bytes: int
    """Of initializers and of tensors in Constant nodes."""
    operators: dict[str, int]
    """Nodes by operator."""

    @classmethod
    def of(cls, model: ir.Model) -> Size:
        """Count nodes and the bytes of weights, without reading them."""
        operators = Counter(label(node) for home in graph.graphs(model) for node in home)
        return cls(
            nodes=operators.total(),
            weight_bytes=graph.weight_bytes(model),
            operators=dict(operators),
        )


@dataclasses.dataclass(kw_only=True)
class Verification:
    """How a result was verified, in sentences, and what was set aside."""

    mode: str
    statement: str
    """What was compared, on what, within which tolerance, and what came out."""
    quarantined: list[str] = dataclasses.field(default_factory=list)
    """The rewrites that changed the outputs, and were left out."""
    unverified: str | None = None
    """Why numbers were not compared, where they were not."""
    excused: list[str] = dataclasses.field(default_factory=list)
    """Outputs that differ by no more than rounding moves the original's own."""
    reproduction: list[str] = dataclasses.field(default_factory=list)
    """The folders of the smallest failing models, where there are any."""
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """Return the lines a person reads."""
        lines = [self.statement]
        lines += [f"left out: {site}" for site in self.quarantined]
        lines += [f"accepted: {excuse}" for excuse in self.excused]
        return lines + [f"smallest failing model: {folder}" for folder in self.reproduction]


@dataclasses.dataclass(kw_only=True)
class Report:
    """What happened to a model."""

    pipeline: str
    target: str
    before: Size
    after: Size
    passes: list[PassRecord]
    seconds: float
    verification: Verification
    """How the result was verified, what was found, and what was set aside."""
    contents: tuple[Contents, Contents] | None
    """What the model holds and computes before and after passes that prune it."""
    notes: list[str]
    """What kept the model from becoming smaller, where the user can do something about it."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)


class Recorder(Observer):
    """Counts changes and seconds by pass."""

    def __init__(self) -> None:
        self.records: dict[str, PassRecord] = {}
        self._started = 0.0

    def before(self, step: Pass, model: ir.Model) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def after(self, step: Pass, model: ir.Model, changes: int) -> None:
        """Add up."""
        record = self.records.setdefault(step.name, PassRecord(name=step.name))
        record.runs += 1
        record.changes += changes
        record.seconds += time.perf_counter() - self._started
