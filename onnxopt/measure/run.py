"""The measurement itself: who runs when, for how long, and what is kept."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pickle
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from onnxopt.errors import BackendError, UsageError
from onnxopt.measure.host import allowed_cpus
from onnxopt.measure.process import Process
from onnxopt.target import Backend, Feeds

Progress = Callable[[float, str], None]
"""Told the share of the time that is over, from 0 to 1, and what happens now."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One thing to measure: a model on a backend with its options."""

    label: str
    model: Path
    backend: Backend
    fault: str | None = None
    """Why it cannot be measured, where that is known beforehand."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure and how."""

    budget_s: float = 14.0
    """Time for everything; three processes a variant are started in any case."""
    launches: int | None = None
    """Processes a variant, one after another; by default as many as the budget allows."""
    blocks: int | None = None
    """Blocks a process; by default so many that a quarter of the budget is filled."""
    block_s: float = 0.04
    warm_s: float = 1.5
    """The longest a variant may take to become steady."""
    timeout_s: float = 120.0
    """How long a request to a variant may take before it counts as hung."""
    precision: float = 0.002
    """Stop early once every interval is this narrow, as a share to either side."""


MIN_LAUNCHES, MIN_BLOCKS, MAX_BLOCKS = 3, 4, 24
_SETTLED_LAUNCHES = 4
"""Processes from which on an interval's width is trusted enough to stop."""


@dataclasses.dataclass
class Record:
    """What is known of one variant so far."""

    variant: Variant
    error: str | None = None
    opens: list[float] = dataclasses.field(default_factory=list)
    firsts: list[float] = dataclasses.field(default_factory=list)
    fallbacks: tuple[str, ...] = ()
    launches: list[dict[int, float]] = dataclasses.field(default_factory=list)
    """For each process the logarithm of the median of every round's block."""
    times: list[list[list[float]]] = dataclasses.field(default_factory=list)
    """The times of single runs, by process and block."""
    peak_bytes: int = 0
    unsteady: int = 0
    spins: bool = False

    def logs(self) -> list[list[float]]:
        """Return the logarithms of the blocks' medians, a row a process."""
        return [list(blocks.values()) for blocks in self.launches]

    def against(self, other: Record) -> list[list[float]]:
        """Return logarithms of ratios of blocks of the same round, a row a launch."""
        pairs = zip(self.launches, other.launches, strict=False)
        return [[mine[r] - theirs[r] for r in mine if r in theirs] for mine, theirs in pairs]


class Measurement:
    """Runs launches of all variants; what is found lies in ``records`` at any moment.

    A launch starts a process for each variant and one more for the baseline, as its own rival.
    Sessions open and warm up one after another; then come rounds, in each of which every process
    times one block, in an order drawn anew.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        cpus: tuple[int, ...],
        feeds: Path,
        count: int,
        effort: Effort,
        seed: int,
    ) -> None:
        self.records = [Record(variant, error=variant.fault) for variant in variants]
        rivals = [Record(variants[0])] if len(variants) > 1 else []
        self.twin = rivals[0] if rivals else None
        self._entrants = [*self.records, *rivals]
        self._feeds, self._count, self._effort = feeds, count, effort
        self._random = random.Random(seed)
        self._cpus = cpus

    def run(self, progress: Progress, precise: Callable[[], bool]) -> None:
        """Launch until the budget is spent or ``precise`` says that it is enough.

        Stops as well when variants failed and nothing is left to compare.
        """
        start = time.monotonic()
        launched, longest = 0, 0.0
        least = min(len(self.records), 2)
        while sum(record.error is None for record in self.records) >= least:
            spent = time.monotonic() - start
            if self._effort.launches is not None:
                if launched >= self._effort.launches:
                    return
            elif launched >= MIN_LAUNCHES:
                if spent + longest > self._effort.budget_s:
                    return
                if launched >= _SETTLED_LAUNCHES and precise():
                    return
            self._launch(lambda text: progress(self._share(start), text))
            launched += 1
            longest = max(longest, time.monotonic() - start - spent)

    def _share(self, start: float) -> float:
        return min((time.monotonic() - start) / self._effort.budget_s, 1.0)

    def _launch(self, say: Callable[[str], None]) -> None:
        began = time.monotonic()
        order = [record for record in self._entrants if record.error is None]
        self._random.shuffle(order)
        with contextlib.ExitStack() as stack:
            alive = [(record, stack.enter_context(Process())) for record in order]
            runs: dict[int, int] = {}
            for record, process in alive:
                say(f"opening {record.variant.label}")
                record.launches.append({})
                record.times.append([])
                with _failing(record):
                    runs[id(record)] = self._prepare(record, process)
            rounds = self._effort.blocks
            number = 0
            while rounds is None or number < rounds:
                say(f"measuring, round {number + 1}")
                before = time.monotonic()
                self._random.shuffle(alive)
                for record, process in alive:
                    if record.error is None:
                        with _failing(record):
                            self._block(record, process, number, runs[id(record)])
                number += 1
                if rounds is None:
                    rounds = self._rounds(before - began, time.monotonic() - before)

    def _rounds(self, startup_s: float, round_s: float) -> int:
        left = self._effort.budget_s / 4 - startup_s
        return min(max(int(left / round_s), MIN_BLOCKS), MAX_BLOCKS)

    def _prepare(self, record: Record, process: Process) -> int:
        """Open and warm up; return how many runs make a block."""
        limit = self._effort.timeout_s
        process.ready(limit)
        opened = process.open(record.variant.model, record.variant.backend, self._cpus, limit)
        fed = process.feed(self._feeds, limit)
        warmed = process.ask({"do": "warm", "limit_s": self._effort.warm_s}, limit)
        record.opens.append(opened["open_s"])
        record.firsts.append(fed["first_s"])
        record.fallbacks = tuple(opened["fallbacks"])
        record.unsteady += not warmed["steady"]
        turns: int = math.ceil(self._effort.block_s / warmed["run_s"] / self._count)
        return self._count * max(turns, 1)

    def _block(self, record: Record, process: Process, number: int, runs: int) -> None:
        reply: dict[str, Any] = process.ask({"do": "block", "runs": runs}, self._effort.timeout_s)
        record.launches[-1][number] = math.log(statistics.median(reply["times"]))
        record.times[-1].append(reply["times"])
        record.peak_bytes = max(record.peak_bytes, reply["peak_bytes"])
        record.spins |= not reply["idle"]


@contextlib.contextmanager
def _failing(record: Record) -> Iterator[None]:
    """Take a variant out when it fails; the others go on."""
    try:
        yield
    except BackendError as error:
        record.error = str(error)


def shared_cpus(variants: Sequence[Variant]) -> tuple[int, ...]:
    """Return the cores that all variants share: as many as the greediest has threads.

    Raises UsageError for more threads than there are cores: they would wait for each other.
    """
    allowed = allowed_cpus()
    threads = [getattr(variant.backend, "threads", 0) for variant in variants]
    if max(threads) > len(allowed):
        raise UsageError(
            f"{max(threads)} threads are more than the CPUs that may be used here: "
            f"give at most {len(allowed)}"
        )
    return allowed if 0 in threads else allowed[: max(threads)]


@contextlib.contextmanager
def stored(feeds: Sequence[Feeds]) -> Iterator[Path]:
    """Write feeds where workers read them."""
    with tempfile.TemporaryDirectory(prefix="onnxopt-bench-") as folder:
        path = Path(folder) / "feeds"
        path.write_bytes(pickle.dumps([dict(entry) for entry in feeds]))
        yield path
