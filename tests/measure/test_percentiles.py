"""Percentiles, held to the binomial distribution and to simulations."""

from __future__ import annotations

import numpy as np
import pytest

from onnxopt.measure.percentiles import SHARES, Percentile, least, percentiles, share_name

QUANTILES = np.exp(np.array([0.0, 1.2815516, 1.6448536, 2.3263479, 3.0902323]))
"""Of the lognormal distribution, at ``SHARES``."""


def drawn(rng: np.random.Generator, processes: int, effect: float) -> list[list[list[float]]]:
    """Return lognormal times in 12 blocks of 20 for each process, shifted as a whole."""
    shifts = rng.normal(0, effect, (processes, 1, 1))
    logs = rng.normal(0, 1, (processes, 12, 20)) * np.sqrt(1 - effect**2)
    times: list[list[list[float]]] = np.exp(logs + shifts).tolist()
    return times


@pytest.mark.parametrize(
    ("share", "runs"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688)]
)
def test_each_percentile_has_its_own_least_number_of_runs(share: float, runs: int) -> None:
    assert least(share) == runs
    few = [[[float(n) for n in range(runs - 1)]]]
    enough = [[[float(n)] for n in range(runs)]]
    assert share_name(share) not in {found.name for found in percentiles(few)}
    assert share_name(share) in {found.name for found in percentiles(enough)}


def test_ranks_of_a_median_are_the_tables() -> None:
    (median,) = (p for p in percentiles([[[float(n)] for n in range(1, 26)]]) if p.share == 0.5)
    assert (median.low, median.value, median.high) == (8.0, 13.0, 18.0)


@pytest.mark.parametrize(("processes", "effect"), [(1, 0.0), (5, 0.0), (8, 0.5)])
def test_intervals_hold_the_truth(processes: int, effect: float) -> None:
    rng = np.random.default_rng(1)
    trials = [percentiles(drawn(rng, processes, effect)) for _ in range(200)]
    for share, truth in zip(SHARES[:4], QUANTILES, strict=False):
        found: list[Percentile] = [p for trial in trials for p in trial if p.share == share]
        own = truth ** np.sqrt(1 - effect**2)  # a process's own percentile, in the middle
        if len(found) > 150:
            assert sum(p.low <= own <= p.high for p in found) / len(found) >= 0.9


def test_runs_that_are_alike_count_as_fewer() -> None:
    one = drawn(np.random.default_rng(2), 1, 0.0)
    alike = [[[block[0]] * len(block) for block in process] for process in one]
    assert "p90" in {found.name for found in percentiles(one)}
    assert [found.name for found in percentiles(alike)] == ["p50"]  # twelve runs, as it were


def test_nothing_gives_nothing() -> None:
    assert percentiles([]) == ()
    assert percentiles([[], [[]]]) == ()
