"""The measurement itself: who runs when, for how long, and what is kept."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from onnxopt.errors import BackendError, UsageError
from onnxopt.host import allowed_cpus, spread_cpus
from onnxopt.measure.intervals import LOOKS_FROM
from onnxopt.measure.load import Meter
from onnxopt.measure.process import Process
from onnxopt.measure.records import Block, Group, Record, Variant

Progress = Callable[[float, str], None]
"""Told the share of the time that is over, from 0 to 1, and what happens now."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure and how."""

    budget_s: float = 14.0
    """Time for everything; five processes a variant are started in any case."""
    precision: float | None = 0.01
    """Stop early once every ratio is known this well, as a share to either side."""
    launches: int | None = None
    """Processes a variant, one after another; by default as many as the budget allows."""
    blocks: int | None = None
    """Blocks a process; by default up to six, as the budget allows."""
    block_s: float = 0.04
    stream_block_s: float = 0.2
    """The length of a block of several streams, whose ends do not fall together."""
    warm_s: float = 1.5
    """The longest a variant may take to become steady."""
    timeout_s: float = 120.0
    """How long a request to a variant may take before it counts as hung."""

    @property
    def looks(self) -> bool:
        """Whether the measurement may stop for what it has found."""
        return self.launches is None and self.precision is not None


CALM = 0.1
"""Share of the CPUs that others may take in a round before it counts as disturbed."""
_MOST_THREADS = 8
"""Threads for each CPU, above which there is nothing to see but waiting."""
LEAST_LAUNCHES, LEAST_BLOCKS, MOST_BLOCKS = LOOKS_FROM, 2, 6
"""Processes differ by more than their blocks, so time is better spent on more of them."""


class Measurement:
    """Runs launches of all groups; what is found lies in their records at any moment.

    A launch starts a process for each variant and one more for the baseline, as its own rival. Only
    one group's processes are there at a time.
    """

    def __init__(self, groups: Sequence[Group], effort: Effort, seed: int) -> None:
        self.groups = groups
        self.launched = 0
        self._effort = effort
        self._random = random.Random(seed)

    def run(
        self, progress: Progress, precise: Callable[[], bool], launched: Callable[[], None]
    ) -> None:
        """Launch until the budget is spent or ``precise`` says that it is enough.

        ``launched`` is told after every launch. Stops as well when variants failed and nothing is
        left to compare.
        """
        start, longest = time.monotonic(), 0.0
        while not all(group.finished for group in self.groups):
            began = time.monotonic()
            if self._enough(began - start + longest, precise):
                return
            for group in self._random.sample(self.groups, len(self.groups)):
                if not group.finished:
                    self._launch(group, lambda text: progress(self._share(start), text))
            self.launched += 1
            launched()
            longest = max(longest, time.monotonic() - began)

    def _enough(self, next_end: float, precise: Callable[[], bool]) -> bool:
        if self._effort.launches is not None:
            return self.launched >= self._effort.launches
        if self.launched < LEAST_LAUNCHES:
            return False
        return next_end > self._effort.budget_s or (self._effort.looks and precise())

    def _share(self, start: float) -> float:
        return min((time.monotonic() - start) / self._effort.budget_s, 1.0)

    def _launch(self, group: Group, say: Callable[[str], None]) -> None:
        began = time.monotonic()
        order = group.entrants
        self._random.shuffle(order)
        with contextlib.ExitStack() as stack:
            alive = [(record, stack.enter_context(Process())) for record in order]
            runs: dict[int, int] = {}
            for record, process in alive:
                say(f"opening {record.variant.label}")
                record.launches.append({})
                with _failing(record):
                    runs[id(record)] = self._prepare(record, process, group)
            self._rounds(group, alive, runs, began, say)

    def _rounds(
        self,
        group: Group,
        alive: list[tuple[Record, Process]],
        runs: dict[int, int],
        began: float,
        say: Callable[[str], None],
    ) -> None:
        """Let the variants take turns; rounds that others disturbed are made up for."""
        wanted, number, disturbed = self._effort.blocks, 0, set[int]()
        cpus = cpus_of_all([group])
        while wanted is None or (number - len(disturbed) < wanted and number < 2 * wanted):
            say(f"measuring, round {number + 1}")
            before, meter, own = time.monotonic(), Meter(cpus), 0.0
            self._random.shuffle(alive)
            for record, process in alive:
                if record.error is None:
                    with _failing(record):
                        block = self._block(record, process, runs[id(record)], group.turn)
                        record.launches[-1][number] = block
                        own += block.cpu_s
            if meter.others(own) > CALM:
                disturbed.add(number)
            number += 1
            if wanted is None:
                wanted = self._wanted(before - began, time.monotonic() - before)
        group.settle(disturbed, wanted)

    def _wanted(self, startup_s: float, round_s: float) -> int:
        left = self._effort.budget_s / len(self.groups) / LEAST_LAUNCHES - startup_s
        return min(max(int(left / round_s), LEAST_BLOCKS), MOST_BLOCKS)

    def _prepare(self, record: Record, process: Process, group: Group) -> int:
        """Open and warm up; return how many runs of each stream make a block."""
        variant, limit = record.variant, self._effort.timeout_s
        process.ready(limit)
        opened = process.open(
            variant.model, variant.backend, cpus_of(variant), limit, timed=variant.streams == 1
        )
        fed = process.feed(group.feeds, limit)
        warming = {"do": "warm", "limit_s": self._effort.warm_s, "streams": variant.streams}
        warmed = process.ask(warming, limit)
        record.opens.append(opened["open_s"])
        record.firsts.append(fed["first_s"])
        record.fallbacks = tuple(opened["fallbacks"])
        record.unsteady += not warmed["steady"]
        length = self._effort.stream_block_s if variant.streams > 1 else self._effort.block_s
        turns: int = math.ceil(length / warmed["run_s"] / group.count)
        return group.count * max(turns, 1)

    def _block(self, record: Record, process: Process, runs: int, turn: int) -> Block:
        request = {"do": "block", "runs": runs, "streams": record.variant.streams}
        reply: dict[str, Any] = process.ask(request, self._effort.timeout_s)
        record.peak_bytes = max(record.peak_bytes, reply["peak_bytes"])
        record.spins |= not reply["idle"]
        return Block(reply["times"], reply["span_s"], reply["cpu_s"], reply["device"], turn)


@contextlib.contextmanager
def _failing(record: Record) -> Iterator[None]:
    """Take a variant out when it fails; the others go on."""
    try:
        yield
    except BackendError as error:
        record.error = str(error)


def needed_cpus(variant: Variant) -> int:
    """Return how many CPUs a variant keeps busy; 0 for all there are."""
    side_by_side = max(int(getattr(variant.backend, "inter_threads", 0)), 1)
    return variant.threads * side_by_side * variant.streams


def cpus_of(variant: Variant) -> tuple[int, ...]:
    """Return the CPUs that a variant may use: as many as it has threads, as far as there are.

    Physical cores come first, so that two threads do not share one while others are idle.
    """
    needed = needed_cpus(variant)
    return tuple(sorted(spread_cpus()[:needed])) if needed else allowed_cpus()


def cpus_of_all(groups: Sequence[Group]) -> tuple[int, ...]:
    """Return the CPUs that some variant of a group may use."""
    used = {cpu for group in groups for r in group.records for cpu in cpus_of(r.variant)}
    return tuple(sorted(used))


def check_threads(variants: Sequence[Variant]) -> None:
    """Raise UsageError for so many threads that a measurement could hardly end.

    A few more than there are CPUs are measured like any other number: it may be just what a user
    wants to see.
    """
    most, cpus = max(needed_cpus(variant) for variant in variants), len(allowed_cpus())
    if most > _MOST_THREADS * cpus:
        raise UsageError(
            f"{most} threads are more than {_MOST_THREADS} for each of the CPUs that may be used "
            f"here: give at most {_MOST_THREADS * cpus}, better {cpus}"
        )


def crowd(variant: Variant) -> bool:
    """Say whether a variant has more threads than CPUs, so that they wait for each other."""
    callers = max(variant.threads, 1) * variant.streams
    return callers > len(allowed_cpus())
