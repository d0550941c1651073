"""Clipping thresholds: the optimum is that of a search by brute force over the same histogram."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from onnxopt.quantization import clipping
from onnxopt.quantization.calibrators import CALIBRATORS, Calibrator, Counted, Method, Name
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.sketch import HALF, Histogram, extremes

_DRAWN = np.random.default_rng(0)
STREAMS: Mapping[str, np.ndarray] = {
    "normal": _DRAWN.normal(0, 1, 20000),
    "relu": np.maximum(_DRAWN.normal(0, 1, 20000), 0),
    "laplace": _DRAWN.laplace(0, 2, 20000),
    "heavy tails": _DRAWN.standard_t(2, 20000),
    "one outlier": np.append(_DRAWN.normal(0, 1, 20000), 60.0),
    "far from zero": _DRAWN.uniform(5, 6, 20000),
    "negative": -np.abs(_DRAWN.normal(0, 1, 20000)),
}
each = pytest.mark.parametrize("name", STREAMS)


def show(made: Calibrator, array: np.ndarray, seen: Range) -> None:
    made.see(seen)
    if isinstance(made, Counted):
        made.count(array, seen)


def counted(name: str) -> tuple[Histogram, Range]:
    numbers = STREAMS[name].astype(np.float32)
    seen = extremes(numbers)
    assert seen is not None
    made = Histogram()
    made.add(numbers, max(-seen.low, seen.high), _DRAWN)
    return made, seen


def squared_error(numbers: np.ndarray, weights: np.ndarray, ends: np.ndarray, levels: int) -> float:
    step = (ends[1] - ends[0]) / (levels - 1)
    zero = np.rint(-ends[0] / step)
    rounded = (np.clip(np.rint(numbers / step) + zero, 0, levels - 1) - zero) * step
    return float((weights * (rounded - numbers) ** 2).sum() / weights.sum())


@each
@pytest.mark.parametrize("levels", [16, 256])
def test_error_is_that_of_the_histogram(name: str, levels: int) -> None:
    made, seen = counted(name)
    tried = clipping.thresholds(seen, symmetric=False)
    found = clipping.Errors(made)(tried, levels)
    inside = (np.arange(64) + 0.5) / 64
    numbers = ((np.arange(-HALF, HALF)[:, None] + inside) * made.width).reshape(-1)
    weights = np.repeat(made.counts, 64)
    kept = weights > 0
    for at in range(0, len(tried), 8):
        wanted = squared_error(numbers[kept], weights[kept], tried[at], levels)
        assert found[at] == pytest.approx(wanted, rel=2e-2)


@each
def test_no_tried_range_has_a_smaller_error(name: str) -> None:
    made, seen = counted(name)
    numbers = STREAMS[name]
    tried = clipping.thresholds(seen, symmetric=False)
    ends = clipping.least_error(made, tried, 256, symmetric=False)
    ones = np.ones(numbers.size)
    best = min(squared_error(numbers, ones, pair, 256) for pair in tried)
    assert squared_error(numbers, ones, ends, 256) <= 1.05 * best


def divergence(counts: np.ndarray, first: int, last: int, levels: int) -> float:
    """Return the Kullback-Leibler divergence as it is defined, part by part and bin by bin."""
    true = counts[first:last].copy()
    low, high = counts[:first].sum(), counts[last:].sum()
    true[0] += low
    true[-1] += high
    cuts = np.rint(np.linspace(first, last, levels + 1)).astype(int) - first
    quantized = np.zeros(last - first)
    for start, end in itertools.pairwise(cuts):
        part = slice(start, end)
        filled = true[part] > 0
        if filled.any():
            total = max(counts[first:last][part].sum(), 1.0)
            quantized[part] = np.where(filled, total / filled.sum(), 0)
    true, quantized = true / true.sum(), quantized / quantized.sum()
    filled = true > 0
    return float((true[filled] * np.log(true[filled] / quantized[filled])).sum())


@each
@pytest.mark.parametrize("levels", [16, 256])
def test_divergence_is_that_of_its_definition(name: str, levels: int) -> None:
    made, seen = counted(name)
    tried = clipping.thresholds(seen, symmetric=False)
    counts = made.counts.astype(np.float64)
    first, last = clipping.bins(made, tried)
    found = clipping.divergences(counts, first, last, levels)
    assert np.isfinite(found).any()
    for at in np.flatnonzero(np.isfinite(found)):
        wanted = divergence(counts, int(first[at]), int(last[at]), levels)
        assert found[at] == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@each
@pytest.mark.parametrize("method", CALIBRATORS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_ranges_stay_within_what_was_seen(name: str, method: Name, symmetric: bool) -> None:
    numbers = STREAMS[name].astype(np.float32)
    made = Method(name=method, symmetric=symmetric).calibrator()
    assert made.range() is None
    for part in np.array_split(numbers, 5):
        seen = extremes(part)
        assert seen is not None
        show(made, part, seen)
    found = made.range()
    assert found is not None
    assert numbers.min() <= found.low <= found.high <= numbers.max()
    inside = ((numbers >= found.low) & (numbers <= found.high)).mean()
    assert inside > 0.85


@pytest.mark.parametrize("method", CALIBRATORS)
def test_one_number_is_a_range(method: Name) -> None:
    for number in (0.0, -3.0, 1e-30):
        made = Method(name=method).calibrator()
        show(made, np.full(5, number, np.float32), Range(low=number, high=number))
        assert made.range() == Range(low=number, high=number)


def test_a_moving_average_forgets() -> None:
    made = Method(name="moving-average", momentum=0.5).calibrator()
    for end in (8.0, 4.0, 2.0):
        made.see(Range(low=-end, high=end))
    assert made.range() == Range(low=-4.0, high=4.0)
