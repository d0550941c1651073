"""From what was recorded to the rows of a report."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np

from onnxopt.measure.intervals import LOOKS_FROM, Estimate, estimate, middle
from onnxopt.measure.load import Quiet
from onnxopt.measure.percentiles import percentiles
from onnxopt.measure.records import Group, Record
from onnxopt.measure.report import Chosen, Row
from onnxopt.measure.verdict import BUSY, Verdict, detectable, faster_in_all, verdict
from onnxopt.spec import write_options

SAMPLE = 200
"""Times that are kept of a variant to draw their distribution."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How recorded figures are read: whether their scatter ended it, and on what machine."""

    looks: bool
    quiet: Quiet
    force: bool
    """Claim something on a busy machine as well."""
    cut: bool = False
    """Whether it was interrupted."""

    def ratio(self, group: Group, record: Record) -> Estimate | None:
        """Estimate the logarithm of a variant's time over the baseline's."""
        if record.error is not None:
            return None
        return estimate(*group.ratios(record), looks=self.looks)

    def noise(self, group: Group) -> Estimate | None:
        """Estimate the logarithm of the baseline's time over its own."""
        rivals = any(record.error is None for record in group.records[1:])
        if group.twin is None or not rivals:
            return None
        return estimate(*group.twin.against(group.baseline), looks=self.looks)

    def verdict(
        self, ratio: Estimate, noise: Estimate | None, launches: int = LOOKS_FROM
    ) -> Verdict:
        """Say what a ratio of so many processes shows, or that nothing can be told here."""
        if self.quiet.hopeless and not self.force:
            return Verdict("unknown", BUSY)
        if launches < LOOKS_FROM and self.cut:
            done = "one process" if launches < 2 else f"{launches} processes"
            text = f"interrupted after {done}, where {LOOKS_FROM} are started at least"
            return Verdict("unknown", text)
        return verdict(ratio, noise)


def rows_of(group: Group, final: Group | None, reading: Reading) -> list[Row]:
    """Return a row for each variant of a group; ``final`` measured the best one again."""
    rows = []
    for record in group.records:
        row = dataclasses.replace(_measured(record, reading), feeds_hash=group.fingerprint)
        if record is group.baseline:
            noise = reading.noise(group)
            rows.append(dataclasses.replace(row, noise=noise.exp() if noise else None))
        elif final is not None and final.records[1].variant is record.variant:
            rows.append(_chosen(row, group, final, record, reading))
        else:
            rows.append(_compared(row, group, record, reading))
    unsure = reading.cut and final is None and len(group.records) > 2
    return [_unchosen(row) if unsure and row.outcome == "faster" else row for row in rows]


def _unchosen(row: Row) -> Row:
    """Take a claim back where a best of several was not measured again."""
    text = "ahead when it was interrupted; the best is measured again first: nothing is claimed"
    return dataclasses.replace(row, outcome="unknown", verdict=text)


def _measured(record: Record, reading: Reading) -> Row:
    variant = record.variant
    median = estimate(record.latencies(), looks=reading.looks)
    pace = estimate(record.paces(), looks=reading.looks) if variant.streams > 1 else None
    device = estimate(record.devices(), looks=reading.looks)
    times = [time for process in record.times() for block in process for time in block]
    return Row(
        label=variant.label,
        model=str(variant.model),
        backend=type(variant.backend).target().name + write_options(variant.backend),
        provider=type(variant.backend).target().name,
        threads=variant.threads,
        batch=variant.inputs.batch,
        shapes=variant.inputs.shapes,
        streams=variant.streams,
        error=record.error,
        launches=len(record.opens),
        runs=len(times),
        median=median.exp() if median else None,
        percentiles=percentiles(record.times()),
        sample=_thinned(times),
        processes=tuple(math.exp(middle(np.array(row))) for row in record.latencies() if row),
        throughput=pace.exp().inverse() if pace else None,
        device=device.exp() if device else None,
        open_s=statistics.median(record.opens) if record.opens else None,
        first_s=statistics.median(record.firsts) if record.firsts else None,
        peak_bytes=record.peak_bytes,
        fallbacks=record.fallbacks,
    )


def _compared(row: Row, group: Group, record: Record, reading: Reading) -> Row:
    ratio, noise = reading.ratio(group, record), reading.noise(group)
    row = dataclasses.replace(row, baseline=group.baseline.variant.label)
    if ratio is None:
        return row
    outcome, text = reading.verdict(ratio, noise, sum(map(bool, record.launches)))
    return dataclasses.replace(
        row,
        ratio=ratio.exp(),
        detectable=detectable(ratio, noise),
        outcome=outcome,
        verdict=text,
    )


def _chosen(row: Row, group: Group, final: Group, record: Record, reading: Reading) -> Row:
    first = reading.ratio(group, record)
    second = final.records[1]
    measured = dataclasses.replace(_measured(second, reading), feeds_hash=row.feeds_hash)
    again = _compared(measured if measured.median else row, final, second, reading)
    error = again.error or second.error
    if first is None or again.ratio is None:
        text = "measured again as the best, which was not finished: nothing is claimed"
        return dataclasses.replace(again, error=error, outcome="unknown", verdict=text)
    chosen = Chosen(
        ratio=first.exp(),
        second=again.ratio,
        median=row.median,
        beside=_measured(final.baseline, reading).median,
    )
    again = dataclasses.replace(again, error=error, chosen=chosen)
    if again.outcome != "faster":
        return again
    both, text = faster_in_all(chosen.ratio, chosen.second)
    bound = detectable(both.log(), reading.noise(final))
    return dataclasses.replace(again, ratio=both, detectable=bound, verdict=text)


def _thinned(times: Sequence[float]) -> tuple[float, ...]:
    if not times:
        return ()
    shares = (np.arange(min(len(times), SAMPLE)) + 0.5) / min(len(times), SAMPLE)
    return tuple(np.quantile(times, shares).tolist())
