"""What the figures about measuring say, as lines of the summary."""

from __future__ import annotations

import statistics
from typing import Any

Lines = list[str]


def aa(said: dict[str, Any]) -> Lines:
    """Return how often a model was called different from itself."""
    runs = said["runs"]
    told = []
    for load, where in ((False, "on a quiet machine"), (True, "under background load")):
        some = [run for run in runs if run["load"] is load]
        wrong = sum(run["outcome"] in ("faster", "slower") for run in some)
        unsure = sum(run["outcome"] not in ("faster", "slower", "same") for run in some)
        width = statistics.median((run["ratio"][2] - run["ratio"][1]) / 2 for run in some)
        others = statistics.median(run["others"] for run in some)
        told.append(
            f"* {where} (others took {100 * others:.0f} % of the CPUs): {wrong} of {len(some)} "
            f"called different, {unsure} too noisy to tell; half-width of the interval "
            f"{100 * width:.1f} %, median"
        )
    return [f"{len(runs)} comparisons of five models with themselves:", "", *told]


def planted(said: dict[str, Any]) -> Lines:
    """Return how often a true difference was found."""
    runs = said["runs"]
    found = sum(run["outcome"] == run["expected"] for run in runs)
    walls = sorted(run["wall"] for run in runs)
    return [
        f"33 layers against 34, a true difference of 3 %: found in {found} of {len(runs)} runs, "
        f"in {walls[len(walls) // 2]:.0f} s (median), {walls[-1]:.0f} s at most."
    ]


def spinning(said: dict[str, Any]) -> Lines:
    """Return what a neighbour whose threads spin does to a figure."""
    ratios = [run["ratio"] for run in said["runs"]]
    near = sum(abs(ratio - 1) <= 0.01 for ratio in ratios)
    return [
        f"One thread beside four that spin, against the same alone: {near} of {len(ratios)} within "
        f"1 %; ratio {statistics.median(ratios):.4f} (median), "
        f"{min(ratios):.4f} to {max(ratios):.4f}."
    ]


def agreement(said: dict[str, Any]) -> Lines:
    """Return how near the median comes to that of a loop by hand."""
    rows = [f"* {run['model']}: {run['ratio']:.4f}" for run in said["runs"]]
    return ["Steady median over that of a loop written by hand:", "", *rows]


def coverage(said: dict[str, Any]) -> Lines:
    """Return how often 95 % intervals hold the truth."""
    simulated = [row["held"] for row in said["simulated"]]
    traces = [v for row in said["traces"] for v in row.values() if isinstance(v, float)]
    told = []
    for what, held in (("simulated cases", simulated), ("cases drawn from traces", traces)):
        if held:
            inside = sum(0.93 <= share <= 0.97 for share in held)
            told.append(
                f"* {len(held)} {what}: {100 * min(held):.1f} to {100 * max(held):.1f} %, "
                f"mean {100 * statistics.fmean(held):.1f} %; {inside} between 93 and 97 %"
            )
    return [f"95 % intervals that hold the truth, of {said['trials']} trials each:", "", *told]


def verdict(said: dict[str, Any]) -> Lines:
    """Return how long a verdict without any options takes."""
    walls = [run["wall"] for run in said["runs"]]
    return [f"`onnxopt bench a b` of two small models: {min(walls):.0f} to {max(walls):.0f} s."]
