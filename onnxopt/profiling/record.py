"""One model recorded: with the runtime's profiler and without, block by block, in own processes."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from onnxopt.errors import BackendError
from onnxopt.measure.process import Process
from onnxopt.measure.records import Variant
from onnxopt.profiling.tally import NodeTally
from onnxopt.target import EXECUTED

WORKER = "onnxopt.profiling.worker"
_ROUNDS = 8
_WARM_S = 1.0
_RECORDED_WARM_S = 0.12
_BLOCK_S = 0.05
"""The runtime keeps what it records in memory, a kilobyte and more for each node of each run; one
takes it four microseconds at the least, so that the length of the blocks bounds the memory too."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to record and how."""

    budget_s: float = 10.0
    """Time for each model; one pair of processes is started in any case."""
    launches: int = 3
    """Pairs of processes, one after another."""
    runs: int | None = None
    """Recorded runs a process; by default as many as fill eight blocks of 40 ms."""
    peaks: bool = True
    """Measure what the machine reaches; without, nothing is said of what is attainable."""
    timeout_s: float = 120.0
    """How long a request may take before the process counts as hung."""


@dataclasses.dataclass
class Record:
    """What is known of one model so far; a row a launch, a number a block."""

    variant: Variant
    error: str | None = None
    plain: list[list[float]] = dataclasses.field(default_factory=list)
    """Logarithms of the median time of a run without the profiler."""
    slowed: list[list[float]] = dataclasses.field(default_factory=list)
    """The same with it."""
    nodes: list[list[NodeTally]] = dataclasses.field(default_factory=list)
    fallbacks: tuple[str, ...] = ()
    runs: int = 0
    unsteady: int = 0


class Recording:
    """Launches pairs of processes for one model: one records, the other shows what that costs."""

    def __init__(
        self,
        record: Record,
        feeds: Path,
        samples: int,
        cpus: tuple[int, ...],
        effort: Effort,
        seed: int,
    ) -> None:
        self.record = record
        self._feeds, self._samples, self._cpus = feeds, samples, cpus
        self._effort = effort
        self._random = random.Random(seed)

    def launch(self, kept: Path, say: Callable[[str], None]) -> None:
        """Start a pair of processes, unless one has failed before.

        The graph that ran is kept as a file, where there is one. Ctrl-C leaves what was recorded
        until then in the record, and is raised again.
        """
        if self.record.error is None:
            with _failing(self.record):
                self._launch(kept, say)

    def _launch(self, kept: Path, say: Callable[[str], None]) -> None:
        label = self.record.variant.label
        with (
            tempfile.TemporaryDirectory(prefix="onnxopt-") as folder,
            Process() as plain,
            Process(WORKER) as recorder,
        ):
            say(f"opening {label}")
            runs = self._prepare(plain, recorder, Path(folder), kept)
            self.record.plain.append([])
            self.record.slowed.append([])
            turns = [
                (plain, "block", self.record.plain[-1]),
                (recorder, "record", self.record.slowed[-1]),
            ]
            try:
                for number in range(_ROUNDS):
                    say(f"recording {label}, round {number + 1}")
                    self._random.shuffle(turns)
                    for process, what, row in turns:
                        reply = process.ask(
                            {"do": what, "runs": runs, "streams": 1}, self._effort.timeout_s
                        )
                        row.append(math.log(statistics.median(reply["times"])))
                    self.record.runs += runs
            finally:
                say(f"reading what was recorded of {label}")
                self._collect(recorder)

    def _prepare(self, plain: Process, recorder: Process, folder: Path, kept: Path) -> int:
        """Open and warm up both; return how many runs make a block."""
        variant, limit = self.record.variant, self._effort.timeout_s
        plain.ready(limit)
        opened = plain.open(variant.model, variant.backend, self._cpus, limit)
        plain.feed(self._feeds, limit)
        warmed = plain.ask({"do": "warm", "limit_s": _WARM_S}, limit)
        recorder.ready(limit)
        recorder.open(variant.model, variant.backend.recording(folder), self._cpus, limit)
        recorder.feed(self._feeds, limit)
        slow = recorder.ask({"do": "warm", "limit_s": _RECORDED_WARM_S}, limit)
        self.record.fallbacks = tuple(opened["fallbacks"])
        self.record.unsteady += not warmed["steady"]
        if (folder / EXECUTED).exists() and not kept.exists():
            shutil.move(folder / EXECUTED, kept)
        return self._runs(float(slow["run_s"]))

    def _runs(self, run_s: float) -> int:
        if self._effort.runs is not None:
            return max(self._effort.runs // _ROUNDS // self._samples, 1) * self._samples
        wanted = _BLOCK_S / run_s
        return max(math.ceil(wanted / self._samples), 2) * self._samples

    def _collect(self, recorder: Process) -> None:
        reply = recorder.ask({"do": "collect"}, self._effort.timeout_s)
        self.record.nodes.append([NodeTally.from_dict(node) for node in reply["nodes"]])


@contextlib.contextmanager
def _failing(record: Record) -> Iterator[None]:
    try:
        yield
    except BackendError as error:
        record.error = str(error)
