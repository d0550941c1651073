"""Count how often 95 % intervals hold the truth, by simulation and on recorded traces.

Simulated are a model, a rival that is as fast, and the model once more, as bench measures them:
blocks with normal and heavy tails, with outliers, skewed, drifting within a process, and effects of
processes that are normal, heavy-tailed, skewed, of two kinds, or unlucky for one in ten; for fixed
numbers of processes, and for a measurement that stops once it is precise. Where the rival alone has
such processes, and the truth is the mean over all of its processes, there are cases that no few
processes can show; they are counted apart. Of a recorded trace, launches are drawn at random, and
in each launch it is random which process stands for which variant: then the true ratio is 1
whatever the machine did.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from common import read_results, write_results

from onnxopt.measure.intervals import LOOKS_FROM, middle, over_processes

BLOCKS = 6
LONGEST = 30
"""Processes after which a measurement ends in any case."""
PROCESSES = (5, 6, 8, 12)
PRECISIONS = (0.4, 0.7, 1.0, 1.5, 3.0)
"""Half-widths at which a measurement stops, in standard deviations of one process's ratio."""
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


def of_skewed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return effects of processes with a long tail to one side, their mean 0."""
    return (rng.lognormal(0, 1, (count, 1)) - np.exp(0.5)) / 2.16


def of_unlucky(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return effects of processes of which one in ten is far slower, their mean 0."""
    return np.where(rng.random((count, 1)) < 0.1, 3.0, -1 / 3)


BLOCK_NOISE: tuple[Draw, ...] = (normal, heavy, outliers, drift, skewed)
EFFECTS: tuple[Draw, ...] = (of_many, of_heavy, of_skewed, of_two_kinds, of_unlucky)


def calm(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return effects of processes that are all alike."""
    del rng
    return np.zeros((count, 1))


def drawn(
    rng: np.random.Generator, trials: int, noise: Draw, rival: Draw, model: Draw, size: float
) -> np.ndarray:
    """Return [trials, LONGEST] ratios of a rival's process to a model's two, of this size."""
    count = trials * LONGEST
    mine, base, twin = (
        size * effect(rng, count) + noise(rng, count) for effect in (rival, model, model)
    )
    return _centre(mine, base, twin).reshape(trials, LONGEST)


def _centre(rival: np.ndarray, base: np.ndarray, twin: np.ndarray) -> np.ndarray:
    centre: np.ndarray = (middle(rival - base) + middle(rival - twin)) / 2
    return centre


def holds(centres: np.ndarray, *, looks: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return for each trial whether its interval holds 0, and half the interval's width."""
    value, half = over_processes(centres, looks=looks)
    return np.abs(value) <= half, half


def stopped(centres: np.ndarray, wanted: float) -> float:
    """Return the share of trials whose interval holds 0 at the first look where it is narrow."""
    running = np.ones(len(centres), dtype=bool)
    held = np.zeros(len(centres), dtype=bool)
    longest = centres.shape[1]
    for count in range(LOOKS_FROM, longest + 1):
        found, half = holds(centres[:, :count], looks=True)
        ends = running & ((half <= wanted) | (count == longest))
        held[ends] = found[ends]
        running &= ~ends
    return float(held.mean())


def counted(centres: np.ndarray) -> Iterator[dict[str, object]]:
    """Yield how often the intervals of trials hold 0, by processes and when stopping."""
    for count in PROCESSES:
        yield {"processes": count, "held": float(holds(centres[:, :count])[0].mean())}
    scale = float(centres.std())
    for wanted in PRECISIONS:
        yield {"precision": wanted, "held": stopped(centres, wanted * scale)}


def simulate(trials: int) -> list[dict[str, object]]:
    """Return the coverage of every combination of noise and effects."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for noise in BLOCK_NOISE:
        for effect, size in [(calm, 0.0), *((e, s) for e in EFFECTS for s in (0.5, 2.0))]:
            said = {"noise": noise.__name__, "effect": effect.__name__, "size": size}
            centres = drawn(rng, trials, noise, effect, effect, size)
            rows += ({**said, **found} for found in counted(centres))
    return rows


def simulate_alone(trials: int) -> list[dict[str, object]]:
    """Return the coverage where only the rival's processes have effects."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    for effect in EFFECTS:
        said = {"effect": effect.__name__, "size": 2.0}
        centres = drawn(rng, trials, normal, effect, calm, 2.0)
        rows += ({**said, **found} for found in counted(centres))
    return rows


def on_traces(trials: int) -> list[dict[str, object]]:
    """Return the coverage on each recorded trace, by number of processes and when stopping."""
    rng = np.random.default_rng(2)
    rows: list[dict[str, object]] = []
    for trace in read_results("measuring_traces").get("runs", []):
        table = np.array([_roles(launch) for launch in zip(*trace["logs"], strict=True)])
        launches = rng.permuted(np.tile(np.arange(len(table)), (trials, 1)), axis=1)[:, :12]
        centres = table[launches, rng.integers(0, 3, launches.shape)]
        found = {str(count): float(holds(centres[:, :count])[0].mean()) for count in (5, 8)}
        found["stopping at 1 %"] = stopped(centres, 0.01)
        rows.append({"model": trace["model"], "load": trace["load"], **found})
    return rows


def _roles(launch: tuple[list[float], ...]) -> list[float]:
    """Return the ratio of each process of a launch to the other two."""
    least = min(len(row) for row in launch)
    one, two, three = (np.array(row[:least]) for row in launch)
    roles = ((one, two, three), (two, one, three), (three, one, two))
    return [float(_centre(*role)) for role in roles]


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20_000)
    chosen = parser.parse_args()
    results = {
        "trials": chosen.trials,
        "simulated": simulate(chosen.trials),
        "alone": simulate_alone(chosen.trials),
        "traces": on_traces(chosen.trials),
    }
    print(write_results("measuring_coverage", results))


if __name__ == "__main__":
    main()
