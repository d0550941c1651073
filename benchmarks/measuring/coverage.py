"""Count how often 95 % intervals hold the truth, by simulation and on recorded traces.

Simulated are a model, a rival that is as fast, and the model once more, as bench measures them:
blocks with normal and heavy tails, with outliers, skewed, drifting within a process, and effects of
processes that are normal, heavy-tailed or of two kinds; for fixed numbers of processes, and for a
measurement that stops once it is precise. Of a recorded trace, launches are drawn at
random, and in each launch it is random which process stands for which variant: then the true ratio
is 1 whatever the machine did.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable

import numpy as np
from common import read_results, write_results

from onnxopt.measure.intervals import LOOKS_FROM, estimate, middle

BLOCKS = 6
LONGEST = 30
"""Processes after which a measurement ends in any case."""
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
    """Blocks that are only ever too long."""
    return rng.exponential(1, (count, BLOCKS))


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
) -> list[list[float]]:
    """Return ratios of blocks of a rival to a model's two processes, with effects of this size."""
    rival, base, twin = (size * effect(rng, count) + noise(rng, count) for _ in range(3))
    ratios: list[list[float]] = (rival - (base + twin) / 2).tolist()
    return ratios


def holds(rows: list[list[float]]) -> bool:
    """Say whether the interval holds 0."""
    found = estimate(rows)
    assert found is not None
    return found.low <= 0 <= found.high


def stopped(rows: list[list[float]], wanted: float) -> bool:
    """Say whether the interval holds 0 at the first look at which it is narrow enough."""
    for count in range(LOOKS_FROM, len(rows) + 1):
        found = estimate(rows[:count], looks=True)
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
                    held = sum(holds(draw(count)) for _ in range(trials))
                    rows.append({**said, "processes": count, "held": held / trials})
                scale = float(np.std(middle(np.array(draw(4000)))))
                for wanted in (0.4, 0.7, 1.0, 1.5, 3.0):
                    held = sum(stopped(draw(LONGEST), wanted * scale) for _ in range(trials))
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
            ratios = [_ratio(launches[at], rng) for at in rng.choice(len(launches), 12)]
            held["5"] += holds(ratios[:5])
            held["8"] += holds(ratios[:8])
            held["stopping at 1 %"] += stopped(ratios, 0.01)
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
