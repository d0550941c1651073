"""Count how often 95 % intervals hold the truth, by simulation and on recorded traces.

Simulated are blocks with normal and heavy tails, with outliers, drifting within a process, and with
effects of processes that are normal, heavy-tailed or of two kinds; for fixed numbers of processes,
and for a measurement that stops once it is precise. Of a recorded trace, launches are drawn at
random, and in each launch it is random which process stands for which variant: then the true ratio
is 1 whatever the machine did.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable

import numpy as np
from common import read_results, write_results

from onnxopt.measure.intervals import ALPHA, LOOKS_ALPHA, LOOKS_FROM, estimate

BLOCKS = 6
Draw = Callable[[np.random.Generator, int], np.ndarray]
"""Returns [processes, BLOCKS] of noise with a spread of about 1."""


def normal(rng: np.random.Generator, count: int) -> np.ndarray:
    """Blocks without surprises."""
    return rng.normal(0, 1, (count, BLOCKS))


def heavy(rng: np.random.Generator, count: int) -> np.ndarray:
    """Student's t with three degrees of freedom."""
    return rng.standard_t(3, (count, BLOCKS))


def outliers(rng: np.random.Generator, count: int) -> np.ndarray:
    """One block of ten is disturbed, eight times as wide."""
    wide = np.where(rng.random((count, BLOCKS)) < 0.1, 8, 1)
    return rng.normal(0, 1, (count, BLOCKS)) * wide


def drift(rng: np.random.Generator, count: int) -> np.ndarray:
    """Each block keeps 0.7 of what moved the one before."""
    blocks = rng.normal(0, 1, (count, BLOCKS))
    for at in range(1, BLOCKS):
        blocks[:, at] = 0.7 * blocks[:, at - 1] + 0.7 * blocks[:, at]
    return blocks


def skewed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Ratios of two times that are only ever too long."""
    long, other = rng.exponential(1, (2, count, BLOCKS))
    difference: np.ndarray = long - other
    return difference


def of_two_kinds(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return effects of processes that are either lucky or not."""
    return rng.choice([-1.0, 1.0], (count, 1))


def of_many(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return effects of processes that are normal."""
    return rng.normal(0, 1, (count, 1))


def of_heavy(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return effects of processes with heavy tails."""
    return rng.standard_t(4, (count, 1)) / np.sqrt(2)


BLOCK_NOISE: tuple[Draw, ...] = (normal, heavy, outliers, drift, skewed)
EFFECTS: tuple[Draw, ...] = (of_many, of_heavy, of_two_kinds)


def drawn(
    rng: np.random.Generator, noise: Draw, effect: Draw, size: float, count: int
) -> np.ndarray:
    """Return blocks of some processes, with effects of this size."""
    return size * effect(rng, count) + noise(rng, count)


def holds(rows: np.ndarray, alpha: float) -> bool:
    """Say whether the interval holds 0."""
    found = estimate(rows.tolist(), alpha)
    assert found is not None
    return found.low <= 0 <= found.high


def stopped(rows: np.ndarray, wanted: float) -> bool:
    """Say whether the interval holds 0 at the first look at which it is narrow enough."""
    for count in range(LOOKS_FROM, len(rows) + 1):
        found = estimate(rows[:count].tolist(), LOOKS_ALPHA)
        assert found is not None
        if found.high - found.low <= 2 * wanted:
            break
    return found.low <= 0 <= found.high


def simulate(trials: int) -> list[dict[str, object]]:
    """Return the coverage of every combination."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for noise in BLOCK_NOISE:
        for effect in EFFECTS:
            for size in (0.0, 0.5, 2.0):
                if not size and effect is not of_many:
                    continue

                draw = functools.partial(drawn, rng, noise, effect, size)
                said = {"noise": noise.__name__, "effect": effect.__name__, "size": size}
                for count in (5, 6, 8, 12):
                    held = sum(holds(draw(count), ALPHA) for _ in range(trials))
                    rows.append({**said, "processes": count, "held": held / trials})
                scale = float(np.std([np.mean(np.sort(r)[1:5]) for r in draw(2000)]))
                for wanted in (0.4, 0.7, 1.0, 1.5):
                    held = sum(stopped(draw(30), wanted * scale) for _ in range(trials))
                    rows.append({**said, "precision": wanted, "held": held / trials})
    return rows


def on_traces(trials: int) -> list[dict[str, object]]:
    """Return the coverage on each recorded trace, by number of processes and when stopping."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    for trace in read_results("measuring_traces").get("runs", []):
        logs = trace["logs"]
        launches = [_equal([part[at] for part in logs]) for at in range(len(logs[0]))]
        held = {"5": 0, "8": 0, "stopping at 1 %": 0}
        for _ in range(trials):
            drawn = [_ratio(launches[at], rng) for at in rng.choice(len(launches), 12)]
            held["5"] += _held(drawn[:5], ALPHA)
            held["8"] += _held(drawn[:8], ALPHA)
            held["stopping at 1 %"] += _stop_held(drawn)
        found = {name: count / trials for name, count in held.items()}
        rows.append({"model": trace["model"], "load": trace["load"], **found})
    return rows


def _equal(parts: list[list[float]]) -> np.ndarray:
    least = min(len(part) for part in parts)
    return np.array([part[:least] for part in parts])


def _ratio(launch: np.ndarray, rng: np.random.Generator) -> list[float]:
    one, base, twin = rng.permutation(launch)
    ratio: list[float] = (one - (base + twin) / 2).tolist()
    return ratio


def _held(rows: list[list[float]], alpha: float) -> bool:
    found = estimate(rows, alpha)
    assert found is not None
    return found.low <= 0 <= found.high


def _stop_held(rows: list[list[float]]) -> bool:
    for count in range(LOOKS_FROM, len(rows) + 1):
        found = estimate(rows[:count], LOOKS_ALPHA)
        assert found is not None
        if found.high - found.low <= 0.02:
            break
    return found.low <= 0 <= found.high


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4000)
    chosen = parser.parse_args()
    results = {
        "trials": chosen.trials,
        "simulated": simulate(chosen.trials),
        "traces": on_traces(chosen.trials),
    }
    print(write_results("measuring_coverage", results))


if __name__ == "__main__":
    main()
