"""What a profile found."""

from __future__ import annotations

import collections
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from onnxopt.host import Host
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.load import Quiet
from onnxopt.plain import json_text
from onnxopt.profiling.overhead import Charge
from onnxopt.profiling.peaks import Peaks
from onnxopt.profiling.roofline import Bound
from onnxopt.render import Paper

TOP = 12
"""Nodes that are printed unless told otherwise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeRow:
    """A node that ran. Times are seconds in a run of the model, what recording adds taken off."""

    node: str
    op_type: str
    domain: str
    provider: str
    depth: int
    """How many nodes with subgraphs it lies in."""
    count: float
    """Executions a run."""
    seconds: float
    interval: Estimate | None
    """The 95 % interval; only for nodes of at least a hundredth of the time."""
    recorded_s: float
    """As the runtime recorded it."""
    device_s: float
    """Of the kernels that it started on a device."""
    share: float
    """Of what all nodes take of a run."""
    stands_for: tuple[str, ...]
    """Operators of the model's nodes that it does the work of; nothing for what was put in."""
    origins: tuple[str, ...]
    """Their names, or those of their first outputs."""
    values: tuple[str, ...]
    """The model's own values that it computes."""
    macs: float | None
    moved_bytes: float | None
    kind: str | None
    """The type whose peak it is held against."""
    attainable_s: float | None
    bound: Bound | None

    @property
    def spent_s(self) -> float:
        """What it takes of a run: its kernels' time on a device, where there are any."""
        return self.device_s or self.seconds

    @property
    def gain_s(self) -> float:
        """What a kernel at the machine's peaks would save."""
        return max(self.spent_s - self.attainable_s, 0.0) if self.attainable_s is not None else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """All nodes of one operator."""

    op_type: str
    domain: str
    nodes: int
    seconds: float
    interval: Estimate | None
    device_s: float
    """Of the kernels that they started on a device."""
    spent_s: float
    """What they take of a run: on a device, where they run there."""
    share: float
    macs: float | None
    attainable_s: float | None
    gain_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fusion:
    """What the runtime made one node of."""

    op_type: str
    stands_for: tuple[str, ...]
    nodes: int
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelProfile:
    """One model."""

    label: str
    model: str
    backend: str
    error: str | None
    launches: int
    runs: int
    """Recorded runs that count."""
    plain: Estimate | None
    """Seconds of a run without recording, end to end."""
    slowed: Estimate | None
    """The same with recording."""
    recorded_s: float
    """All nodes, as recorded."""
    nodes_s: float
    """All nodes, what recording adds taken off."""
    nodes: tuple[NodeRow, ...]
    """The slowest first."""
    operators: tuple[OperatorRow, ...]
    fusions: tuple[Fusion, ...]
    folded: int
    """Nodes of the model that were computed when the session opened."""
    removed: int
    """Nodes of the model that are not found again."""
    put_in: int
    """Nodes that the runtime put in: changes of layout or type."""
    fallbacks: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def operator_names(self) -> dict[tuple[str, str], str]:
        """What operators are called, by domain and name: with the domain where a name is twice."""
        return names_of([self])

    @property
    def explained(self) -> float | None:
        """The time of the nodes as a share of the time of a run without recording."""
        return self.nodes_s / self.plain.value if self.plain else None


def names_of(models: Sequence[ModelProfile]) -> dict[tuple[str, str], str]:
    """Return what the operators of some models are called, by domain and name."""
    keys = dict.fromkeys((row.domain, row.op_type) for model in models for row in model.operators)
    counts = collections.Counter(op_type for _, op_type in keys)
    return {
        (domain, name): f"{domain}::{name}" if domain and counts[name] > 1 else name
        for domain, name in keys
    }


def change_of(before: Estimate | None, after: Estimate | None) -> Estimate:
    """Return after less before; nothing counts as zero, and the two as independent."""
    old, new = before or Estimate(0.0, 0.0, 0.0), after or Estimate(0.0, 0.0, 0.0)
    value = new.value - old.value
    below = math.hypot(new.value - new.low, old.high - old.value)
    above = math.hypot(new.high - new.value, old.value - old.low)
    return Estimate(value, value - below, value + above)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairRow:
    """The nodes of two models that compute the same values from the same values."""

    value: str
    before: tuple[str, ...]
    """Operators that ran, in order."""
    after: tuple[str, ...]
    before_s: float
    after_s: float
    change: Estimate
    """After less before, with its 95 % interval."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileReport:
    """One model, or two side by side."""

    models: tuple[ModelProfile, ...]
    pairs: tuple[PairRow, ...]
    """The largest change first; none where the models share no values."""
    charge: Charge | None
    """What recording adds, as measured here."""
    peaks: Peaks | None
    host: Host
    quiet: Quiet
    warnings: tuple[str, ...]
    seconds: float
    seed: int
    interrupted: bool
    fed: str = ""
    """What the models ran on, in words."""

    def to_dict(self) -> Mapping[str, object]:
        """Return the report as plain values."""
        found = dataclasses.asdict(self)
        for told, model in zip(found["models"], self.models, strict=True):
            told["explained"] = model.explained
        return found

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json_text(self.to_dict())

    def render(self, paper: Paper, *, top: int = TOP) -> None:
        """Write what takes the time and what could be gained, then the tables."""
        from onnxopt.profiling.text import write_report

        write_report(self, paper, top)

    def save_html(self, path: Path) -> None:
        """Write the report as a page. Raises UsageError where it cannot be."""
        from onnxopt.profiling.sheet import sheet

        sheet(self).save(path)

    def __str__(self) -> str:
        page = io.StringIO()
        self.render(Paper(page))
        return page.getvalue()
