"""What is measured, and what is known of it so far."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from onnxopt.measure.intervals import middle
from onnxopt.target import Backend

Rows = list[list[float]]
"""Logarithms: a row a process, a number a block."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the feeds are to look like, where they are made or stacked for the purpose."""

    batch: int | None = None
    shapes: tuple[str, ...] = ()
    """As ``x=1,3,224,224``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One thing to measure: a model on a backend with its options."""

    label: str
    model: Path
    backend: Backend
    inputs: Inputs = Inputs()
    streams: int = 1
    """Callers of one session at the same time."""
    group: str = ""
    """Variants of a group have the same feeds and are compared with the group's first."""
    fault: str | None = None
    """Why it cannot be measured, where that is known beforehand."""

    @property
    def threads(self) -> int:
        """Threads inside one operator; 0 is the runtime's choice."""
        threads: int = getattr(self.backend, "threads", 0)
        return threads


@dataclasses.dataclass(frozen=True)
class Block:
    """Some runs in a row."""

    times: Sequence[float]
    """Seconds of every single run."""
    span_s: float
    """From the start of the first run to the end of the last."""
    cpu_s: float
    """What the process took of the CPUs since its last reply."""
    device: Sequence[float] = ()
    turn: int = 1
    """How many samples of other sizes the runs go round in; 1 where all take alike."""

    @property
    def latency(self) -> float:
        """The logarithm of the median of a run's time, of samples of other sizes the mean."""
        return math.log(_usual([self]))

    @property
    def pace(self) -> float:
        """The logarithm of the time for each run, over all streams."""
        return math.log(self.span_s / len(self.times))


@dataclasses.dataclass
class Record:
    """What is known of one variant so far."""

    variant: Variant
    error: str | None = None
    opens: list[float] = dataclasses.field(default_factory=list)
    firsts: list[float] = dataclasses.field(default_factory=list)
    fallbacks: tuple[str, ...] = ()
    launches: list[dict[int, Block]] = dataclasses.field(default_factory=list)
    """For each process the block of every round."""
    peak_bytes: int = 0
    unsteady: int = 0
    spins: bool = False

    def __post_init__(self) -> None:
        """Take over what is known beforehand."""
        self.error = self.error or self.variant.fault
        why = self.variant.backend.alone() if self.variant.streams > 1 else None
        if self.error is None and why is not None:
            self.error = f"{why}: measure it with one stream"

    def compared(self, block: Block) -> float:
        """Return the number by which variants are compared: the pace where streams overlap."""
        return block.pace if self.variant.streams > 1 else block.latency

    def latencies(self) -> Rows:
        """Return the logarithms of the blocks' medians, about that of all runs of the process.

        Times are skewed, and the median of the few runs of a block then lies above that of many:
        by 6 % for four runs on a machine where they scatter by a third.
        """
        return [_about_all(list(launch.values())) for launch in self.launches]

    def paces(self) -> Rows:
        """Return the logarithms of the time for each run over all streams."""
        return [[block.pace for block in launch.values()] for launch in self.launches]

    def devices(self) -> Rows:
        """Return the logarithms of the medians by the device's clock."""
        return [
            [math.log(statistics.median(b.device)) for b in launch.values() if b.device]
            for launch in self.launches
        ]

    def times(self) -> list[list[Sequence[float]]]:
        """Return the times of single runs by process and block."""
        return [[block.times for block in launch.values()] for launch in self.launches]

    def against(self, *others: Record) -> list[Rows]:
        """Return logarithms of ratios to each of others, by blocks of rounds that all have."""
        found: list[Rows] = [[] for _ in others]
        for at, mine in enumerate(self.launches):
            theirs = [other.launches[at] if at < len(other.launches) else {} for other in others]
            common = [number for number in mine if all(number in blocks for blocks in theirs)]
            for rows, other, blocks in zip(found, others, theirs, strict=True):
                rows.append([self.compared(mine[n]) - other.compared(blocks[n]) for n in common])
        return found


def _usual(blocks: Sequence[Block]) -> float:
    """Return the median of all runs' times; the mean of each sample's where their sizes differ."""
    turn = blocks[0].turn
    times = [
        [time for block in blocks for time in block.times[start::turn]] for start in range(turn)
    ]
    return statistics.fmean(statistics.median(each) for each in times if each)


def _about_all(blocks: Sequence[Block]) -> list[float]:
    """Return the logarithms of blocks' medians, moved so that their middle is that of all runs."""
    if not blocks:
        return []
    logs = [block.latency for block in blocks]
    whole = math.log(_usual(blocks))
    moved = whole - float(middle(np.array(logs)))
    return [log + moved for log in logs]


@dataclasses.dataclass
class Group:
    """Variants that are measured side by side; the first is the baseline."""

    records: list[Record]
    feeds: Path
    count: int
    """Samples that every block goes round in."""
    twin: Record | None = None
    """The baseline once more, as its own rival; it runs only where there are others."""
    disturbed: int = 0
    """Rounds that other processes disturbed."""
    rounds: int = 0
    fed: str = ""
    """What the samples are, in words."""
    fingerprint: str = ""
    """The SHA-256 of their contents."""
    turn: int = 1
    """Samples of other sizes in a round, each of which has times of its own."""

    def __post_init__(self) -> None:
        """Give the baseline a twin where there are rivals."""
        if len(self.records) > 1 and self.twin is None:
            self.twin = Record(self.baseline.variant)

    @property
    def baseline(self) -> Record:
        """The first."""
        return self.records[0]

    @property
    def entrants(self) -> list[Record]:
        """All that can still be measured, the twin included."""
        alone = all(record.error is not None for record in self.records[1:])
        twin = [self.twin] if self.twin is not None and not alone else []
        return [record for record in [*self.records, *twin] if record.error is None]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to measure, or to compare after a first launch."""
        alive = sum(record.error is None for record in self.records)
        started = any(record.launches for record in self.records)
        able = sum(record.variant.fault is None for record in self.records)
        return alive == 0 or (started and alive < min(able, 2))

    def ratios(self, record: Record) -> list[Rows]:
        """Return a variant's ratios to the baseline, by each of the two that stand for it."""
        if self.twin is None or self.twin.error is not None:
            return record.against(self.baseline)
        return record.against(self.baseline, self.twin)

    def settle(self, disturbed: Collection[int], wanted: int) -> None:
        """Forget the rounds of the last launch that were disturbed, where enough are left."""
        blocks = [record.launches[-1] for record in self.entrants if record.launches]
        numbers = {number for launch in blocks for number in launch}
        calm = numbers - set(disturbed)
        self.rounds += len(numbers)
        self.disturbed += len(numbers) - len(calm)
        if len(calm) >= max(wanted // 2, 2):
            for launch in blocks:
                for number in numbers - calm:
                    launch.pop(number, None)
