"""How fast files are, one beside another, as data that a folder keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxopt.deployer.report import Candidate, Span
from onnxopt.deployer.stages import Result
from onnxopt.measure import BenchReport, Effort, Variant, bench
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.report import Row
from onnxopt.measure.run import Progress
from onnxopt.measure.verdict import BUSY, TOO_BUSY, faster_in_all
from onnxopt.target import Backend, Feeds

LATER = f"{TOO_BUSY} what is faster: --again on a quiet machine measures anew, and keeps the rest"


def timed(
    files: Mapping[str, Path],
    backends: Mapping[str, Backend],
    feeds: Sequence[Feeds],
    effort: tuple[float, int],
    progress: Progress,
) -> Result:
    """Measure files, the first being what the others are compared with.

    ``effort`` is the budget in seconds, and the seed.
    """
    budget_s, seed = effort
    variants = [
        Variant(label=label, model=path, backend=backends[label]) for label, path in files.items()
    ]
    found = bench(
        variants,
        feeds=list(feeds) or None,
        effort=Effort(budget_s=budget_s),
        seed=seed,
        progress=progress,
    )
    return kept(found)


def kept(found: BenchReport) -> Result:
    """Return a measurement as plain data; the first of its rows is the baseline."""
    return {
        "rows": {row.label: _row(row, found.rows[0].median) for row in found.rows},
        "noise": _span(found.rows[0].noise),
        "unsteady": list(found.warnings),
        "others": found.quiet.others,
        "notes": [text for text in found.notes if not text.startswith("took ")],
    }


def _row(row: Row, baseline: Estimate | None) -> Result:
    first = row.chosen
    beside = baseline if first is None else first.beside
    return {
        "median_s": None if row.median is None else row.median.value,
        "beside_s": None if row.baseline is None or beside is None else beside.value,
        "ratio": _span(row.ratio),
        "chosen_for": None if first is None else _span(first.ratio),
        "second": None if first is None else _span(first.second),
        "open_s": row.open_s,
        "peak_bytes": row.peak_bytes,
        "outcome": row.outcome,
        "verdict": row.verdict.replace(BUSY, TOO_BUSY),
        "refused": row.error,
    }


def _span(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None else [estimate.value, estimate.low, estimate.high]


def span_of(values: Any) -> Span | None:
    """Return a ratio that was kept."""
    return None if values is None else (values[0], values[1], values[2])


def told(found: Result) -> bool:
    """Return whether a measurement is worth keeping: something is faster, or nothing unknown."""
    outcomes = [row["outcome"] for row in found["rows"].values()]
    return "faster" in outcomes or "unknown" not in outcomes


def _held(each: Candidate) -> Candidate:
    """Let the interval of what is the fastest hold what quantizing read of it, if that told so."""
    read = each.quantizing
    if each.outcome != "faster" or each.second is None or read is None or read[2] >= 1:
        return dataclasses.replace(each, quantizing=None)
    parts = (read, each.chosen_for, each.second)
    ratio, verdict = faster_in_all(*(Estimate(*part) for part in parts if part is not None))
    return dataclasses.replace(each, ratio=(ratio.value, ratio.low, ratio.high), verdict=verdict)


def with_times(candidates: Sequence[Candidate], measured: Result) -> list[Candidate]:
    """Return the candidates with what was measured of them, the first with its noise floor."""
    rows: Mapping[str, Result] = measured["rows"]
    found = []
    for each in candidates:
        row = rows.get(each.label)
        if row is not None:
            each = dataclasses.replace(
                each,
                median_s=row["median_s"],
                beside_s=row["beside_s"],
                ratio=span_of(row["ratio"]),
                chosen_for=span_of(row["chosen_for"]),
                second=span_of(row["second"]),
                open_s=row["open_s"],
                peak_bytes=row["peak_bytes"],
                outcome=row["outcome"],
                verdict=row["verdict"],
                refused=each.refused or row["refused"],
            )
        found.append(_held(each))
    found[0] = dataclasses.replace(found[0], noise=span_of(measured["noise"]))
    return found
