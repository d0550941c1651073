"""Work out by how much the median of a model differs from one run to a later one.

The runs are the quiet ones of ``measuring.aa``, in which each model comes again some minutes later.
What their medians scatter by beyond what their own intervals say is what two runs that are not side
by side have to allow for. Counted is, too, how often two of them, at least a minute apart, are
equal by the rule of ``bench --against``, as they truly are.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from common import read_results, write_results

from measuring.runs import MODELS, Entry
from onnxopt.measure.gate import BETWEEN_RUNS
from onnxopt.measure.intervals import FIRST_LOOK_ALPHA, LOOKS_FROM, student_quantile


def beyond(runs: list[Entry]) -> float:
    """Return the variance of the logarithms of medians, less the mean of their own."""
    logs = np.log([run["median"] for run in runs])
    own = [_error(run["interval"]) ** 2 for run in runs]
    return float(logs.var(ddof=1) - np.mean(own))


def _error(interval: list[float]) -> float:
    """Return the standard error behind an interval; most runs end at their first look."""
    low, high = interval
    return math.log(high / low) / 2 / student_quantile(1 - FIRST_LOOK_ALPHA / 2, LOOKS_FROM - 1)


def equal(runs: list[Entry]) -> float:
    """Return the share of pairs of runs that are equal as far as their interval can tell."""
    told = []
    for one, other in itertools.combinations(runs, 2):
        if abs(one["at"] - other["at"]) < 60:
            continue
        halves = [math.log(run["interval"][1] / run["interval"][0]) / 2 for run in (one, other)]
        half = math.hypot(*halves, 1.96 * math.sqrt(2) * BETWEEN_RUNS)
        told.append(abs(math.log(one["median"] / other["median"])) <= half)
    return float(np.mean(told))


def main() -> None:
    """Work it out and write it."""
    quiet = [run for run in read_results("measuring_aa")["runs"] if not run["load"]]
    by_model = {name: [run for run in quiet if run["model"] == name] for name in MODELS}
    rows = [
        {
            "model": name,
            "runs": len(runs),
            "beyond": math.sqrt(max(beyond(runs), 0.0)),
            "equal": equal(runs),
        }
        for name, runs in by_model.items()
    ]
    pooled = math.sqrt(max(float(np.mean([beyond(runs) for runs in by_model.values()])), 0.0))
    print(
        write_results(
            "measuring_between", {"allowed": BETWEEN_RUNS, "beyond": pooled, "models": rows}
        )
    )


if __name__ == "__main__":
    main()
