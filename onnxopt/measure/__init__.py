"""Latency before and after: variants in processes of their own, in random interleaved blocks."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Iterable, Sequence

import numpy as np

from onnxopt.errors import UsageError
from onnxopt.measure.host import Host, Quiet, Watch
from onnxopt.measure.intervals import Estimate, estimate
from onnxopt.measure.percentiles import percentiles
from onnxopt.measure.process import Process
from onnxopt.measure.report import BenchReport, Row
from onnxopt.measure.run import (
    MIN_LAUNCHES,
    Effort,
    Measurement,
    Progress,
    Record,
    Variant,
    shared_cpus,
    stored,
)
from onnxopt.measure.text import counted
from onnxopt.measure.verdict import detectable, verdict
from onnxopt.spec import write_options
from onnxopt.target import Backend, Feeds, Outputs

__all__ = ["BenchReport", "Effort", "Row", "Variant", "bench"]

MAX_FEEDS = 8
"""Samples that every block goes round in."""
SAMPLE = 200
"""Times that are kept of a variant to draw their distribution."""


def bench(
    variants: Sequence[Variant],
    *,
    feeds: Iterable[Feeds] | None = None,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure variants against the first.

    All get the same feeds: the first 8 of those given, or made-up ones that the baseline accepts.
    A variant that fails is reported and the others go on. Ctrl-C ends the measurement early, and
    what was measured until then is reported.

    Raises ModelError when no feeds suit the baseline, UsageError without variants or feeds, or for
    more threads than CPUs.
    """
    if not variants:
        raise UsageError("nothing to measure: give at least one model")
    effort, cpus = effort or Effort(), shared_cpus(variants)
    given = _made_up(variants[0], effort, seed) if feeds is None else feeds
    chosen = list(itertools.islice(given, MAX_FEEDS))
    if not chosen:
        raise UsageError("no samples to measure on: give at least one")
    start, watch, interrupted = time.monotonic(), Watch(), False
    with stored(chosen) as path:
        measurement = Measurement(variants, cpus, path, len(chosen), effort, seed)
        wanted = effort.precision
        try:
            measurement.run(progress or _silent, lambda: _precise(measurement, wanted, seed))
        except KeyboardInterrupt:
            interrupted = True
    baseline, quiet = measurement.records[0], watch.read()
    noise = _ratio(measurement.twin, baseline, seed) if measurement.twin else None
    rows = [_row(record, baseline, noise, seed) for record in measurement.records]
    seconds = time.monotonic() - start
    return BenchReport(
        rows=tuple(rows),
        host=Host.here(),
        quiet=quiet,
        warnings=tuple(_warnings(measurement, quiet)),
        notes=tuple(_notes(baseline, effort, seconds)),
        seconds=seconds,
        seed=seed,
        interrupted=interrupted,
    )


def _silent(share: float, text: str) -> None:
    del share, text


def _made_up(variant: Variant, effort: Effort, seed: int) -> Iterable[Feeds]:
    """Make up one set of feeds that a variant accepts, in a process that may crash."""
    from onnxopt.feeds import random_samples
    from onnxopt.io import load

    with Process() as process:
        process.ready(effort.timeout_s)
        process.open(variant.model, variant.backend, (), effort.timeout_s)

        def accepts(_: object, feeds: Feeds) -> Outputs:
            with stored([feeds]) as path:
                process.feed(path, effort.timeout_s)
            return {}

        return list(random_samples(load(variant.model), seed=seed, count=1, evaluate=accepts))


def _ratio(record: Record, baseline: Record, seed: int) -> Estimate | None:
    """Estimate the logarithm of a variant's latency over the baseline's."""
    return estimate(record.against(baseline), seed)


def _precise(measurement: Measurement, wanted: float, seed: int) -> bool:
    baseline = measurement.records[0]
    rivals = measurement.records[1:]
    found = [_ratio(record, baseline, seed) for record in rivals if record.error is None]
    if not rivals:
        found = [estimate(baseline.logs(), seed)]
    return all(e is not None and e.high - e.low < 2 * wanted for e in found)


def _row(record: Record, baseline: Record, noise: Estimate | None, seed: int) -> Row:
    median = estimate(record.logs(), seed)
    first = record is baseline
    ratio = _ratio(record, baseline, seed) if not first and record.error is None else None
    backend = record.variant.backend
    times = [time for process in record.times for block in process for time in block]
    return Row(
        label=record.variant.label,
        model=str(record.variant.model),
        backend=_text(backend),
        provider=type(backend).target().name,
        threads=getattr(backend, "threads", 0),
        error=record.error,
        launches=len(record.opens),
        runs=len(times),
        median=median.exp() if median else None,
        percentiles=percentiles(record.times),
        sample=_thinned(times),
        processes=tuple(math.exp(np.median(row)) for row in record.logs() if row),
        open_s=statistics.median(record.opens) if record.opens else None,
        first_s=statistics.median(record.firsts) if record.firsts else None,
        peak_bytes=record.peak_bytes,
        fallbacks=record.fallbacks,
        baseline=None if first else baseline.variant.label,
        ratio=ratio.exp() if ratio else None,
        noise=noise.exp() if noise and first else None,
        detectable=detectable(ratio, noise) if ratio else None,
        verdict=verdict(ratio, noise) if ratio else "",
    )


def _thinned(times: Sequence[float]) -> tuple[float, ...]:
    if not times:
        return ()
    shares = (np.arange(min(len(times), SAMPLE)) + 0.5) / min(len(times), SAMPLE)
    return tuple(np.quantile(times, shares).tolist())


def _text(backend: Backend) -> str:
    return type(backend).target().name + write_options(backend)


def _notes(baseline: Record, effort: Effort, seconds: float) -> list[str]:
    few = effort.launches is None and len(baseline.launches) <= MIN_LAUNCHES
    if not few or seconds < 1.1 * effort.budget_s:
        return []
    return [
        f"took {seconds:.1f} s, beyond the budget of {effort.budget_s:g} s: "
        "three processes a model are started in any case"
    ]


def _warnings(measurement: Measurement, quiet: Quiet) -> list[str]:
    found = quiet.warnings()
    for record in measurement.records:
        label = record.variant.label
        if record.unsteady:
            processes = counted(record.unsteady, "process", "processes")
            found.append(f"{label}: not steady after warming up in {processes}")
        if record.spins:
            found.append(f"{label}: its threads stay busy between runs and slow the others")
        spread = [math.exp(value) for row in record.logs() for value in row]
        if len(spread) >= 8 and np.quantile(spread, 0.75) > 1.2 * np.quantile(spread, 0.25):
            found.append(f"{label}: block medians vary by more than 20 %")
    return found
