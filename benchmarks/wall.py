"""Time the whole process of onnxopt, onnxsim and onnxslim on each model, interleaved."""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import (
    Case,
    add_case_options,
    add_resume_options,
    cases,
    in_time,
    resumed,
    write_results,
)
from peers import ONNXOPT, PEERS, run_peer


def measure(case: Case, names: list[str], rounds: int, limit: float) -> dict[str, list[float]]:
    """Return the seconds of every round; a round runs each optimizer once, in random order."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds + 1):  # the first warms the file cache and does not count
            for name in random.sample(names, len(names)):
                ran = run_peer(name, case.model, Path(folder) / f"{name}.onnx", limit)
                if turn and ran["ok"]:
                    seconds[name].append(ran["seconds"])
    return seconds


def summarize(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Return medians and the ratio of onnxopt to the faster of the others."""
    medians = {name: statistics.median(taken) for name, taken in seconds.items() if taken}
    others = [median for name, median in medians.items() if name != ONNXOPT]
    said: dict[str, Any] = {"medians": medians, "seconds": seconds}
    if ONNXOPT in medians and others:
        said["ratio"] = medians[ONNXOPT] / min(others)
    return said


def overall(models: dict[str, Any]) -> dict[str, float]:
    """Return the worst and the median ratio to the faster peer."""
    ratios = [said["ratio"] for said in models.values() if "ratio" in said]
    return {"worst": max(ratios), "median": statistics.median(ratios)} if ratios else {}


def main() -> None:
    """Read the command line, measure what is missing and write after each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_case_options(parser)
    add_resume_options(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=300, help="seconds a process")
    parser.add_argument(
        "--names",
        nargs="+",
        choices=[*PEERS, ONNXOPT],
        default=["onnxsim", "onnxslim", ONNXOPT],
    )
    options = parser.parse_args()
    options.group = options.group or ["corpus"]
    done = resumed("wall", options)
    left = [case for case in cases(options) if case.name not in done]
    for case in in_time(left, options.seconds):
        done[case.name] = summarize(measure(case, options.names, options.rounds, options.limit))
        medians = done[case.name]["medians"]
        print(case.name, {name: round(median, 2) for name, median in medians.items()}, flush=True)
        write_results("wall", {"ratio to the faster peer": overall(done), "models": done})
    print(overall(done))


if __name__ == "__main__":
    main()
