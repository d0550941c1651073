"""Latency before and after: variants in processes of their own, in random interleaved blocks."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence

from onnxopt.errors import OnnxoptError, UsageError
from onnxopt.host import Host
from onnxopt.measure.feeding import MAX_FEEDS, feeds_for, stored, told, turn_of
from onnxopt.measure.intervals import estimate
from onnxopt.measure.load import Quiet, Watch
from onnxopt.measure.records import Group, Inputs, Record, Variant
from onnxopt.measure.remarks import notes, warnings
from onnxopt.measure.report import BenchReport, Row
from onnxopt.measure.rows import Reading, rows_of
from onnxopt.measure.run import Effort, Measurement, Progress, check_threads, cpus_of_all
from onnxopt.samples import fingerprint
from onnxopt.target import Feeds

__all__ = ["MAX_FEEDS", "BenchReport", "Effort", "Inputs", "Row", "Variant", "bench"]

_CHOOSING = 0.6
"""Share of the budget for choosing the best of several, which is then measured again."""


def bench(
    variants: Sequence[Variant],
    *,
    feeds: Iterable[Feeds] | None = None,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    force: bool = False,
) -> BenchReport:
    """Measure variants, each group of them against its first.

    All of a group get the same feeds: the first 8 of those given, stacked to a batch where one is
    asked for, or made-up ones that the baseline accepts. Where several rivals stand against one
    baseline and the best is faster, that one is measured again in new processes: the best of
    several is the luckiest as well. It is faster where the second measurement says so too, and its
    interval holds both. A variant that fails is reported and the others go on. Ctrl-C ends the
    measurement early, and what was measured until then is reported. On a machine that others keep
    busy nothing is claimed without ``force``.

    Raises ModelError when no feeds suit the only baseline, UsageError without variants or feeds
    and for absurdly many threads.
    """
    if not variants:
        raise UsageError("nothing to measure: give at least one model")
    check_threads(variants)
    effort = effort or Effort()
    with contextlib.ExitStack() as stack:
        given = None if feeds is None else list(feeds)
        groups = [stack.enter_context(g) for g in _groups(variants, given, effort, seed)]
        return _Session(groups, effort, seed, progress or _silent, force).run()


def _silent(share: float, text: str) -> None:
    del share, text


def _groups(
    variants: Sequence[Variant], given: Sequence[Feeds] | None, effort: Effort, seed: int
) -> Iterator[contextlib.AbstractContextManager[Group]]:
    names = dict.fromkeys(variant.group for variant in variants)
    for name in names:
        members = [variant for variant in variants if variant.group == name]
        yield _group(members, given, effort, seed, alone=len(names) == 1)


@contextlib.contextmanager
def _group(
    members: list[Variant], given: Sequence[Feeds] | None, effort: Effort, seed: int, *, alone: bool
) -> Iterator[Group]:
    """Find feeds for a group; where it cannot be fed, the other groups go on."""
    feeds: list[Feeds] = []
    for at, member in enumerate(members):
        if member.fault is not None:
            continue
        try:
            feeds = feeds_for(member, given, effort.timeout_s, seed)
            break
        except UsageError:
            raise
        except OnnxoptError as error:
            members[at] = dataclasses.replace(member, fault=str(error))
            if alone and all(each.fault is not None for each in members):
                raise
    with stored(feeds) as path:
        said = told(feeds, given=given is not None) if feeds else ""
        yield Group(
            [Record(member) for member in members],
            path,
            len(feeds),
            fed=said,
            fingerprint=fingerprint(feeds),
            turn=turn_of(feeds),
        )


class _Session:
    """One measurement from the first launch to the report."""

    def __init__(
        self, groups: list[Group], effort: Effort, seed: int, progress: Progress, force: bool
    ) -> None:
        self._groups, self._effort, self._seed = groups, effort, seed
        self._progress, self._force = progress, force
        self._watch = Watch(cpus_of_all(groups))
        self._start = time.monotonic()
        self._finals: dict[int, Group] = {}

    def run(self) -> BenchReport:
        """Measure, measure the best again, and report."""
        interrupted = False
        try:
            self._measure()
        except KeyboardInterrupt:
            interrupted = True
        quiet, seconds, host = self._watch.read(), time.monotonic() - self._start, Host.here()
        reading = Reading(looks=self._effort.looks, quiet=quiet, force=self._force, cut=interrupted)
        every = [*self._groups, *self._finals.values()]
        rows = [
            row
            for at, group in enumerate(self._groups)
            for row in rows_of(group, self._finals.get(at), reading)
        ]
        return BenchReport(
            rows=tuple(rows),
            host=host,
            quiet=quiet,
            warnings=tuple(dict.fromkeys(warnings(every, quiet, host))),
            notes=tuple(notes(self._groups, self._effort, seconds)),
            seconds=seconds,
            seed=self._seed,
            interrupted=interrupted,
        )

    def _measure(self) -> None:
        several = any(len(group.records) > 2 for group in self._groups)
        share = _CHOOSING if several else 1.0
        self._run(self._groups, self._effort.budget_s * share, 0.0)
        spent = time.monotonic() - self._start
        finals = {at: best for at, g in enumerate(self._groups) if (best := self._best(g))}
        self._finals = finals
        if finals:
            left = max(self._effort.budget_s - spent, 0.0)
            self._run(list(finals.values()), left, share)

    def _run(self, groups: list[Group], budget_s: float, done: float) -> None:
        effort = dataclasses.replace(self._effort, budget_s=max(budget_s, 0.1))
        share = budget_s / self._effort.budget_s

        def progress(part: float, text: str) -> None:
            self._progress(min(done + share * part, 1.0), text)

        measurement = Measurement(groups, effort, self._seed)
        measurement.run(progress, lambda: self._precise(groups), self._watch.sample)

    def _best(self, group: Group) -> Group | None:
        """Return the best of several rivals, if it seems faster, to be measured again."""
        reading = Reading(looks=self._effort.looks, quiet=Quiet(others=0, steal=0), force=True)
        noise, found = reading.noise(group), []
        for record in group.records[1:] if len(group.records) > 2 else []:
            ratio = reading.ratio(group, record)
            if ratio is not None and reading.verdict(ratio, noise).outcome == "faster":
                found.append((ratio.value, record))
        if not found or group.baseline.error is not None:
            return None
        _, best = min(found, key=lambda pair: pair[0])
        records = [Record(group.baseline.variant), Record(best.variant)]
        again = Group(records, group.feeds, group.count)
        again.fed, again.fingerprint, again.turn = group.fed, group.fingerprint, group.turn
        return again

    def _precise(self, groups: list[Group]) -> bool:
        """Say whether all that is to be told is known as well as was wanted."""
        wanted = self._effort.precision
        if wanted is None:
            return False
        found = []
        for group in groups:
            alive = [record for record in group.records[1:] if record.error is None]
            figures = [group.ratios(record) for record in alive] or [[group.baseline.latencies()]]
            found += [estimate(*rows, looks=self._effort.looks) for rows in figures]
        return all(e is not None and e.high - e.low <= 2 * wanted for e in found)
