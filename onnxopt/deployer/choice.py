"""Which of the files to deploy, and how to open it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxopt import catalogue
from onnxopt.deployer.report import EXPORTED, OPTIMIZED, Candidate
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
            "refused": row.error,
        }
    return {"rows": rows, "warnings": list(found.warnings)}


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
                refused=refused,
            )
        )
    return found


def best_of(candidates: Sequence[Candidate]) -> tuple[str, str]:
    """Return what to deploy and why.

    The fastest that is measurably faster than the exported model, the quantized one only where its
    interval lies below what the optimized one takes; without any, the optimized model, unless it is
    slower.
    """
    fit = [each for each in candidates[1:] if each.refused is None]
    faster = [each for each in fit if each.outcome == "faster" and each.ratio is not None]
    if faster:
        best = min(faster, key=_taken)
        exact = next((each for each in faster if each.label == OPTIMIZED), best)
        if best is not exact and best.ratio is not None and best.ratio[2] >= _taken(exact):
            best = exact
        return best.label, f"the fastest that keeps the outputs: {best.verdict}"
    optimized = next((each for each in fit if each.label == OPTIMIZED), None)
    if optimized is not None and optimized.outcome != "slower":
        if not optimized.verdict:
            return OPTIMIZED, "it computes the same as the exported one; nothing was measured"
        if optimized.outcome == "unknown":
            told = f"which is faster could not be told ({optimized.verdict})"
            return OPTIMIZED, f"it computes the same as the exported one; {told}"
        return OPTIMIZED, f"not slower than the exported one: {optimized.verdict}"
    return EXPORTED, "nothing that was tried is as fast and keeps the outputs"


def decided(found: Result) -> bool:
    """Return whether a measurement told of every candidate whether it is faster."""
    return all(row["outcome"] != "unknown" for row in found["rows"].values())


def left_behind(candidates: Sequence[Candidate], chosen: str, *, measured: bool) -> list[str]:
    """Say of each file that was made and is not deployed why it is not."""
    found = []
    for each in candidates[1:]:
        if each.label != chosen:
            unsure = "" if measured else "whether it is faster was not measured"
            found.append(f"{each.label}: {each.refused or each.verdict or unsure}".rstrip(": "))
    return found


def _taken(each: Candidate) -> float:
    return 1.0 if each.ratio is None else each.ratio[0]


def ways_to_open(target: str, cores: int) -> dict[str, Backend]:
    """Return ways to open a session that are worth measuring, the default first, by their text."""
    usual: Any = catalogue.backend(target)
    found: dict[str, Backend] = {target: usual}
    fields = {field.name for field in dataclasses.fields(usual)}
    if cores > 1 and "threads" in fields and not getattr(usual, "threads", 1):
        changes: list[dict[str, object]] = [{"threads": 1}]
        if "spinning" in fields:
            changes.append({"spinning": False})
        for change in changes:
            way = dataclasses.replace(usual, **change)
            found[type(way).target().name + write_options(way)] = way
    return found


def way_of(rows: Mapping[str, Result], usual: str) -> tuple[str, str]:
    """Return the way to open a session that is measurably the fastest, and why."""
    faster = {
        label: row for label, row in rows.items() if row["outcome"] == "faster" and row["ratio"]
    }
    if not faster:
        return usual, "no other way that was measured is faster"
    best = min(faster, key=lambda label: float(faster[label]["ratio"][0]))
    return best, f"than {usual} it is {faster[best]['verdict']}"
