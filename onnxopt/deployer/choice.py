"""Which of the files to deploy, and how to open it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onnxopt import catalogue
from onnxopt.deployer.report import OPTIMIZED, Candidate
from onnxopt.deployer.stages import Result
from onnxopt.measure import BenchReport, Effort, Variant, bench
from onnxopt.measure.run import Progress
from onnxopt.spec import write_options
from onnxopt.target import Backend, Feeds


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
    return _plain(found)


def _plain(found: BenchReport) -> Result:
    rows = {}
    for row in found.rows:
        ratio = None if row.ratio is None else [row.ratio.value, row.ratio.low, row.ratio.high]
        rows[row.label] = {
            "median_s": None if row.median is None else row.median.value,
            "ratio": ratio,
            "outcome": row.outcome,
            "verdict": row.verdict,
            "again": row.again,
            "refused": row.error,
        }
    return {"rows": rows, "unsteady": [*found.warnings, *found.notes]}


def with_times(candidates: Sequence[Candidate], rows: Mapping[str, Result]) -> list[Candidate]:
    """Return the candidates with what was measured of them."""
    found = []
    for each in candidates:
        row = rows.get(each.label)
        if row is None:
            found.append(each)
            continue
        ratio = None if row["ratio"] is None else tuple(row["ratio"])
        refused = each.refused or row["refused"]
        found.append(
            dataclasses.replace(
                each,
                median_s=row["median_s"],
                ratio=ratio,
                outcome=row["outcome"],
                verdict=row["verdict"],
                remarks=(*each.remarks, row["again"]) if row["again"] else each.remarks,
                refused=refused,
            )
        )
    return found


def best_of(candidates: Sequence[Candidate]) -> tuple[str, str]:
    """Return what to deploy and why.

    The fastest that is measurably faster than the first, the quantized one only where its interval
    lies below what the optimized one takes; without any, the optimized model, unless it is slower.
    """
    first = candidates[0].label
    fit = [each for each in candidates[1:] if each.refused is None]
    faster = [each for each in fit if each.outcome == "faster" and each.ratio is not None]
    if faster:
        best = min(faster, key=_taken)
        exact = next((each for each in faster if each.label == OPTIMIZED), best)
        if best is not exact and best.ratio is not None and best.ratio[2] >= _taken(exact):
            best = exact
        return best.label, f"the fastest within bounds; against the {first} one {best.verdict}"
    optimized = next((each for each in fit if each.label == OPTIMIZED), None)
    if optimized is not None and optimized.outcome != "slower":
        same = f"which computes the same as the {first} one"
        if not optimized.verdict:
            return OPTIMIZED, f"{same}; nothing was measured"
        if optimized.outcome == "unknown":
            return OPTIMIZED, f"{same}; which is faster could not be told ({optimized.verdict})"
        return OPTIMIZED, f"{same} and is not slower: {optimized.verdict}"
    return first, "for nothing that was tried is as fast and within bounds"


def decided(found: Result) -> bool:
    """Return whether a measurement told of every candidate whether it is faster."""
    return all(row["outcome"] != "unknown" for row in found["rows"].values())


def left_behind(candidates: Sequence[Candidate], chosen: str, *, measured: bool) -> list[str]:
    """Say of each file that was made and is not deployed why it is not."""
    taken = next(each for each in candidates if each.label == chosen)
    found = []
    for each in candidates[1:]:
        if each.label == chosen:
            continue
        why = each.refused or each.verdict
        if not each.refused and each.outcome == "faster":
            surely = "less than" if _taken(taken) < _taken(each) else "not surely more than"
            why = f"{why}; {surely} the {chosen} one gains"
        unsure = "" if measured else "whether it is faster was not measured"
        found.append(f"{each.name}: {why or unsure}".rstrip(": "))
    return found


def _taken(each: Candidate) -> float:
    return 1.0 if each.ratio is None else each.ratio[0]


class Way(NamedTuple):
    """A way to open a session."""

    backend: Backend
    means: str


_CHANGES: tuple[tuple[str, object, str], ...] = (
    ("threads", 1, "one thread"),
    ("spinning", False, "threads that wait for work sleep"),
)


def ways_to_open(target: str, cores: int) -> dict[str, Way]:
    """Return ways to open a session that are worth measuring, the default first, by their text."""
    usual: Any = catalogue.backend(target)
    found = {target: Way(usual, "the default")}
    fields = {field.name for field in dataclasses.fields(usual)}
    if cores > 1 and "threads" in fields and not getattr(usual, "threads", 1):
        for field, value, means in _CHANGES:
            if field in fields:
                way = dataclasses.replace(usual, **{field: value})
                found[type(way).target().name + write_options(way)] = Way(way, means)
    return found


def way_of(rows: Mapping[str, Result], ways: Mapping[str, Way], usual: str) -> tuple[str, str]:
    """Return the way to open a session that is measurably the fastest, and why."""
    faster = {
        label: row for label, row in rows.items() if row["outcome"] == "faster" and row["ratio"]
    }
    if not faster:
        others = ", ".join(f"{label} ({w.means})" for label, w in ways.items() if label != usual)
        return usual, f"the default; {others} were measured too and are not faster"
    best = min(faster, key=lambda label: float(faster[label]["ratio"][0]))
    return best, f"{ways[best].means}, {faster[best]['verdict']} than {usual}"
