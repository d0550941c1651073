"""What the figures about measuring say, as lines of the summary."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np

from onnxopt.measure.intervals import over_processes

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


def loaded(said: dict[str, Any]) -> Lines:
    """Return how far ratios are from those of a quiet machine, by what neighbours take."""
    runs = said["runs"]
    lines = [
        "The ratio of two models over the true one, beside neighbours on two CPUs; two pairs, and "
        "what others took of the CPUs that are measured on. *wrong*: runs whose verdict has the "
        "other direction.",
        "",
        "| threads | neighbours | others took | ratio over the true one | wrong |",
        "|---|---|---|---|---|",
    ]
    settings = dict.fromkeys((r["threads"], r["neighbours"], r["share"]) for r in runs)
    for threads, count, share in sorted(settings):
        some = [
            r
            for r in runs
            if (r["threads"], r["neighbours"], r["share"]) == (threads, count, share)
        ]
        off = [r["ratio"][0] / _true(runs, r) for r in some]
        took = statistics.median(r["others"] for r in some)
        wrong = sum(r["outcome"] not in ("unknown", "same", _direction(runs, r)) for r in some)
        beside = f"{count}, {100 * share:.0f} % busy" if count else "none"
        lines.append(
            f"| {threads} | {beside} | {100 * took:.0f} % | {min(off):.2f} to {max(off):.2f} | "
            f"{wrong} of {len(some)} |"
        )
    return lines


def _true(runs: list[dict[str, Any]], like: dict[str, Any]) -> float:
    """Return the ratio that a pair has: 2 of layers, else what was measured beside no neighbour."""
    if like["pair"] == "layers":
        return 2.0
    same = [r for r in runs if all(r[k] == like[k] for k in ("pair", "threads"))]
    return statistics.geometric_mean(r["ratio"][0] for r in same if not r["neighbours"])


def _direction(runs: list[dict[str, Any]], like: dict[str, Any]) -> str:
    return "faster" if _true(runs, like) < 1 else "slower"


def spinning(said: dict[str, Any]) -> Lines:
    """Return what a neighbour whose threads spin does to a figure."""
    runs = said["runs"]
    told = []
    for name in dict.fromkeys(run["model"] for run in runs):
        logs = [run["beside"] - run["alone"] for run in runs if run["model"] == name]
        told.append(f"* {name}: {_mean(logs)}, {len(logs)} pairs; {_spread(logs)}")
    return ["One thread beside four that spin, over the same alone:", "", *told]


def agreement(said: dict[str, Any]) -> Lines:
    """Return how near the median comes to that of a loop by hand."""
    runs = said["runs"]
    told = []
    for name, threads in dict.fromkeys((run["model"], run["threads"]) for run in runs):
        some = [run for run in runs if (run["model"], run["threads"]) == (name, threads)]
        logs = [run["bench"] - run["loop"] for run in some]
        milliseconds = 1000 * math.exp(statistics.median(run["loop"] for run in some))
        told.append(
            f"* {name}, threads {threads} ({milliseconds:.3g} ms): {_mean(logs)}, "
            f"{len(logs)} pairs; {_spread(logs)}"
        )
    return ["Steady median over that of a loop written by hand, mean of pairs:", "", *told]


def _mean(logs: list[float]) -> str:
    """Return the geometric mean of ratios with its 95 % interval."""
    value, half = over_processes(np.array(logs), looks=False)
    low, middle, high = (math.exp(value + side * half) for side in (-1, 0, 1))
    return f"{middle:.4f} ({low:.4f} to {high:.4f})"


def _spread(logs: list[float]) -> str:
    return f"single ones scatter by {100 * statistics.stdev(logs):.1f} %"


def between(said: dict[str, Any]) -> Lines:
    """Return by how much medians of the same model differ from one run to a later one."""
    rows = [
        f"* {row['model']}: {100 * row['beyond']:.1f} % beyond the runs' own intervals, "
        f"{row['runs']} runs, {100 * row['equal']:.0f} % of pairs equal"
        for row in said["models"]
    ]
    shares = 100 * statistics.fmean(row["equal"] for row in said["models"])
    head = (
        "Standard deviation of a median from one run to a later one, over all models: "
        f"{100 * said['beyond']:.1f} %; `--against` allows for {100 * said['allowed']:.1f} %, by "
        f"which {shares:.0f} % of pairs of runs of the same model are equal."
    )
    return [head, "", *rows]


def coverage(said: dict[str, Any]) -> Lines:
    """Return how often 95 % intervals hold the truth."""
    simulated = [row["held"] for row in said["simulated"]]
    alone = [row["held"] for row in said["alone"]]
    traces = {
        load: [v for row in said["traces"] if row["load"] is load for v in _shares(row)]
        for load in (False, True)
    }
    cases = {
        "simulated cases": simulated,
        "cases drawn from traces of a quiet machine": traces[False],
        "cases drawn from traces under load": traces[True],
        "simulated cases in which only the rival's processes differ": alone,
    }
    told = [_held(what, held) for what, held in cases.items() if held]
    return [f"95 % intervals that hold the truth, of {said['trials']} trials each:", "", *told]


def _shares(row: dict[str, Any]) -> list[float]:
    return [value for value in row.values() if isinstance(value, float)]


def _held(what: str, held: list[float]) -> str:
    below, above = sum(share < 0.93 for share in held), sum(share > 0.97 for share in held)
    return (
        f"* {len(held)} {what}: {100 * min(held):.1f} to {100 * max(held):.1f} %, mean "
        f"{100 * statistics.fmean(held):.1f} %; {below} below 93 and {above} above 97 %"
    )


def verdict(said: dict[str, Any]) -> Lines:
    """Return how long a verdict without any options takes."""
    walls = [run["wall"] for run in said["runs"]]
    return [f"`onnxopt bench a b` of two small models: {min(walls):.0f} to {max(walls):.0f} s."]
