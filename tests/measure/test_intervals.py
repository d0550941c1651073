"""The statistics, held to what simulations and tables say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from onnxopt.measure.intervals import Estimate, estimate, middle, steady, student_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (10, 2.22814), (100, 1.98397), (math.inf, 1.95996)],
)
def test_quantiles_of_student(freedom: float, quantile: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, rel=1e-3)
    assert student_quantile(0.025, freedom) == pytest.approx(-quantile, rel=1e-3)


@pytest.mark.parametrize(("processes", "between"), [(3, 1.0), (4, 3.0), (5, 0.5), (8, 1.0)])
def test_intervals_hold_the_truth_as_often_as_they_say(processes: int, between: float) -> None:
    rng = np.random.default_rng(processes)
    trials, held = 300, 0
    for trial in range(trials):
        effects = rng.normal(0, between, (processes, 1))
        found = estimate((effects + rng.normal(0, 1, (processes, 8))).tolist(), trial)
        assert found is not None
        held += found.low <= 0 <= found.high
    assert 0.92 <= held / trials <= 0.985  # 94 to 98 %, and what 300 trials scatter


def test_intervals_are_not_needlessly_wide() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for trial in range(50):
        found = estimate(rng.normal(0, 1, (8, 12)).tolist(), trial)
        assert found is not None
        widths.append(found.high - found.low)
    assert np.median(widths) < 1.5 * 2 * 1.96 * math.sqrt(1 / (8 * 12))


def test_a_disturbed_block_does_not_move_the_estimate() -> None:
    calm = [[0.0, 0.01, -0.01, 0.0, 0.01, -0.01, 0.0, 0.0]] * 3
    disturbed = [[*row[:-1], 2.0] for row in calm]
    found = estimate(disturbed, 0)
    assert found is not None
    assert abs(found.value) < 0.01


def test_the_same_seed_gives_the_same_interval() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (3, 5)).tolist()
    assert estimate(rows, 7) == estimate(rows, 7)
    assert estimate(rows, 7) != estimate(rows, 8)


def test_too_little_gives_nothing() -> None:
    assert estimate([], 0) is None
    assert estimate([[1.0], [2.0]], 0) is None
    assert estimate([[1.0, 1.0]], 0) == Estimate(1.0, 1.0, 1.0)


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
