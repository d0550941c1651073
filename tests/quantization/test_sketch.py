"""The sketch of a stream: what it counts is what NumPy counts, whatever the order and the sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.quantization.sketch import CHUNK, HALF, Histogram, extremes, stride

RANDOM = np.random.default_rng(0)

arrays = st.builds(
    lambda seed, size, scale, shift: np.asarray(
        np.random.default_rng(seed).standard_t(2, size) * scale + shift, np.float32
    ),
    st.integers(0, 2**32 - 1),
    st.integers(1, 500),
    st.sampled_from([0.0, 1e-6, 0.1, 3.0, 1e4, 1e30]),
    st.sampled_from([0.0, 1.0, -50.0]),
)


def filled(parts: list[np.ndarray], limit: int = 0) -> Histogram:
    made = Histogram(limit)
    for part in parts:
        seen = extremes(part)
        assert seen is not None
        made.add(part, max(-seen.low, seen.high), np.random.default_rng(3))
    return made


@settings(max_examples=60, deadline=None)
@given(st.lists(arrays, min_size=1, max_size=5))
def test_counts_every_number_in_its_bin(parts: list[np.ndarray]) -> None:
    made = filled(parts)
    numbers = np.concatenate(parts)
    assert made.counts.sum() == numbers.size
    if made.width:
        wanted, _ = np.histogram(numbers.astype(np.float64), made.edges())
        # a number within rounding of an edge may be counted on its other side
        drift = np.abs(np.cumsum(made.counts) - np.cumsum(wanted))
        ends = made.edges()[1:]
        near = np.abs(numbers[None].astype(np.float64) - ends[:, None]) <= 2**-10 * made.width
        assert (drift <= near.sum(axis=1)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(arrays, min_size=1, max_size=5), st.floats(0, 1))
def test_quantile_is_within_a_bin(parts: list[np.ndarray], share: float) -> None:
    made = filled(parts)
    numbers = np.sort(np.concatenate(parts).astype(np.float64))
    at = min(max(math.ceil(share * numbers.size - 1e-9) - 1, 0), numbers.size - 1)
    low, high = made.quantile(share)
    slack = 2**-10 * made.width
    assert low - slack <= numbers[at] <= high + slack
    assert high - low == pytest.approx(made.width)


@given(st.floats(2.0**-60, 2.0**100, width=32))
def test_the_farthest_number_is_far_out(reach: float) -> None:
    made = filled([np.asarray([reach], np.float32)])
    place = int(np.flatnonzero(made.counts)[0]) - HALF
    assert HALF // 2 <= place < HALF


def test_zeros_need_no_width() -> None:
    made = filled([np.zeros(10, np.float32)])
    assert made.width == 0
    assert made.counts[HALF] == 10
    made.add(np.asarray([4.0], np.float32), 4.0, RANDOM)
    assert made.counts[HALF] == 10
    assert made.quantile(1.0)[1] <= 4.0 + made.width


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_takes_every_type(dtype: str) -> None:
    numbers = np.linspace(-3, 5, CHUNK + 7).astype(dtype)
    made = filled([numbers])
    assert made.counts.sum() == numbers.size
    assert abs(made.quantile(0.5)[0] - 1.0) < 1e-2


def test_a_limit_does_not_bias() -> None:
    """Every element of an array is counted equally often over many draws of the lattice."""
    numbers = np.arange(1, 1001, dtype=np.float32)
    step = stride(numbers.size, 100)
    random = np.random.default_rng(1)
    times = np.zeros(2 * HALF, np.int64)
    for _ in range(2000):
        made = Histogram(100)
        made.add(numbers, 1000.0, random)
        times += made.counts
    per_number = times[times > 0].reshape(-1)
    assert len(per_number) == 1000
    np.testing.assert_allclose(per_number / 2000, 1.0, atol=6 * math.sqrt(step / 2000))


@given(st.integers(1, 10**7), st.integers(1, 10**5))
def test_a_lattice_visits_every_column(size: int, limit: int) -> None:
    step = stride(size, limit)
    assert -(-size // step) <= limit or step == 1
    assert step == 1 or math.gcd(step, size) == 1


@given(arrays)
def test_extremes_are_exact(numbers: np.ndarray) -> None:
    seen = extremes(np.tile(numbers, 200))
    assert seen is not None
    assert (seen.low, seen.high) == (numbers.min(), numbers.max())


def test_extremes_tell_nan() -> None:
    numbers = np.zeros(3 * CHUNK, np.float32)
    numbers[CHUNK + 5] = np.nan
    seen = extremes(numbers)
    assert seen is not None
    assert math.isnan(seen.low)
    assert extremes(numbers[:0]) is None
