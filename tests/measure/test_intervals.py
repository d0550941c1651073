"""The statistics, held to what simulations and tables say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from onnxopt.measure.intervals import (
    LOOKS_FROM,
    Estimate,
    estimate,
    middle,
    steady,
    student_quantile,
)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (10, 2.22814), (100, 1.98397), (math.inf, 1.95996)],
)
def test_quantiles_of_student(freedom: float, quantile: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, rel=1e-3)
    assert student_quantile(0.025, freedom) == pytest.approx(-quantile, rel=1e-3)


Noise = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(0, 1, (count, 6))


def heavy(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.standard_t(3, (count, 6))


def drifting(rng: np.random.Generator, count: int) -> np.ndarray:
    """Each block takes over most of what moved the one before."""
    blocks = rng.normal(0, 1, (count, 6))
    for at in range(1, 6):
        blocks[:, at] = 0.7 * blocks[:, at - 1] + 0.7 * blocks[:, at]
    return blocks


@pytest.mark.parametrize("noise", [normal, heavy, drifting])
@pytest.mark.parametrize(("processes", "between"), [(3, 1.0), (5, 0.0), (5, 0.5), (8, 1.0)])
def test_intervals_hold_the_truth_as_often_as_they_say(
    noise: Noise, processes: int, between: float
) -> None:
    rng = np.random.default_rng(processes)
    trials, held = 1000, 0
    for _ in range(trials):
        effects = rng.normal(0, between, (processes, 1))
        found = estimate((effects + noise(rng, processes)).tolist())
        assert found is not None
        held += found.low <= 0 <= found.high
    assert 0.93 <= held / trials <= 0.97


@pytest.mark.parametrize("processes", [5, 12])
def test_a_ratio_to_two_references_leans_to_neither_side(processes: int) -> None:
    rng = np.random.default_rng(0)
    trials, held, values = 1000, 0, []
    for _ in range(trials):
        rival, base, twin = rng.exponential(1, (3, processes, 6))
        found = estimate((rival - base).tolist(), (rival - twin).tolist())
        assert found is not None
        held += found.low <= 0 <= found.high
        values.append(found.value)
    assert 0.93 <= held / trials <= 0.97
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(trials)


@pytest.mark.parametrize("wanted", [0.5, 0.8, 1.2, 2.0])
def test_stopping_at_a_narrow_interval_costs_no_coverage(wanted: float) -> None:
    rng = np.random.default_rng(int(10 * wanted))
    trials, held = 500, 0
    for _ in range(trials):
        rows = rng.normal(0, 1, (20, 1)) + rng.normal(0, 1, (20, 6))
        for launches in range(LOOKS_FROM, 21):
            found = estimate(rows[:launches].tolist(), looks=True)
            assert found is not None
            if found.high - found.low <= 2 * wanted or launches == 20:
                held += found.low <= 0 <= found.high
                break
    assert 0.925 <= held / trials <= 0.98


def test_intervals_are_not_needlessly_wide() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for _ in range(50):
        found = estimate(rng.normal(0, 1, (8, 12)).tolist())
        assert found is not None
        widths.append(found.high - found.low)
    assert np.median(widths) < 1.5 * 2 * 1.96 * math.sqrt(1 / (8 * 12))


def test_one_process_has_the_interval_of_its_blocks() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        found = estimate(rng.normal(0, 1, (1, 12)).tolist())
        assert found is not None
        held += found.low <= 0 <= found.high
    assert 0.92 <= held / 1000 <= 0.98


def test_a_disturbed_block_does_not_move_the_estimate() -> None:
    calm = [[0.0, 0.01, -0.01, 0.0, 0.01, -0.01, 0.0, 0.0]] * 3
    disturbed = [[*row[:-1], 2.0] for row in calm]
    found = estimate(disturbed)
    assert found is not None
    assert abs(found.value) < 0.01


def test_too_little_gives_nothing() -> None:
    assert estimate([]) is None
    assert estimate([[1.0], [2.0]]) is None
    assert estimate([[1.0, 1.0]]) == Estimate(1.0, 1.0, 1.0)


def test_the_middle_leaves_a_quarter_out_at_either_end() -> None:
    assert middle(np.array([100.0, 2.0, 1.0, -50.0])) == 1.5
    assert middle(np.array([1.0, 2.0])) == 1.5


@pytest.mark.parametrize(
    ("windows", "is_steady"),
    [
        ([1.0, 1.0], False),
        ([1.0, 1.0, 1.0], True),
        ([3.0, 2.0, 1.0, 1.001, 0.999], True),
        ([1.03, 1.015, 1.0], False),
        ([1.016, 1.007, 1.0], False),
        ([1.0, 1.005, 1.01], True),
        ([1.0, 1.0, 1.1], False),
    ],
)
def test_steady_means_level_and_no_longer_falling(windows: list[float], is_steady: bool) -> None:
    assert steady(windows, 0.02) is is_steady
