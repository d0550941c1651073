"""Streamed errors are those of the whole arrays, computed at once by hand."""

from __future__ import annotations

import math

import hypothesis.extra.numpy as arrays
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.comparison import Energy, Errors, class_axis

SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, max_side=5)
NUMBERS = st.floats(-100, 100, width=32)


@st.composite
def pairs(draw: st.DrawFn) -> list[tuple[np.ndarray, np.ndarray]]:
    shape = draw(SHAPES)
    each = arrays.arrays(np.float32, shape, elements=NUMBERS)
    return draw(st.lists(st.tuples(each, each), min_size=1, max_size=4))


def streamed(samples: list[tuple[np.ndarray, np.ndarray]]) -> Errors:
    errors = Errors()
    for expected, actual in samples:
        errors.add(expected, actual)
    return errors


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_sums_are_those_of_the_whole(samples: list[tuple[np.ndarray, np.ndarray]]) -> None:
    errors = streamed(samples)
    one = np.stack([pair[0] for pair in samples]).astype(float)
    two = np.stack([pair[1] for pair in samples]).astype(float)
    noise = float(((one - two) ** 2).sum())
    if not noise:
        assert errors.equal
        assert errors.sqnr == math.inf
        assert errors.cosine == 1.0
        return
    assert not errors.equal
    signal = float((one**2).sum())
    assert errors.sqnr == pytest.approx(10 * np.log10(signal / noise) if signal else -math.inf)
    lengths = np.linalg.norm(one) * np.linalg.norm(two)
    assert errors.cosine == pytest.approx((one * two).sum() / lengths if lengths else 0.0, abs=1e-9)


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_the_worst_element_is_where_it_is_said_to_be(
    samples: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    worst = streamed(samples).absolute
    differences = np.stack([abs(a.astype(float) - b.astype(float)) for a, b in samples])
    if worst is None:
        assert not differences.any()
        return
    assert worst.value == pytest.approx(differences.max())
    assert differences[(worst.sample, *worst.index)] == pytest.approx(worst.value)
    expected, actual = samples[worst.sample]
    assert worst.expected == expected[worst.index]
    assert worst.actual == actual[worst.index]


def test_agreement_is_counted_along_the_axis_of_the_classes() -> None:
    rng = np.random.default_rng(0)
    for shape, axis in [((6, 10), -1), ((2, 5, 7), -1), ((2, 3, 4, 4), 1), ((2, 9, 1, 1), 1)]:
        one, two = rng.normal(size=(2, 3, *shape)).astype(np.float32)
        two = one + two
        errors = streamed(list(zip(one, two, strict=True)))
        found = errors.agreement
        assert found is not None
        at = axis if axis < 0 else axis + 1
        assert found.equal == (one.argmax(at) == two.argmax(at)).sum()
        assert found.total == one.argmax(at).size
        assert found.size == shape[axis]


@pytest.mark.parametrize("shape", [(), (1,), (5, 1), (1, 1, 1)])
def test_without_classes_there_is_no_agreement(shape: tuple[int, ...]) -> None:
    assert class_axis(shape) is None
    assert streamed([(np.ones(shape, np.float32), np.zeros(shape, np.float32))]).agreement is None


def test_what_is_not_finite_is_counted_and_leaves_no_number() -> None:
    one = np.array([1, np.nan, np.inf, 2, np.nan], np.float32)
    two = np.array([1, np.nan, -np.inf, np.nan, np.nan], np.float32)
    errors = streamed([(one, two)])
    assert errors.strange == 2
    assert math.isnan(errors.sqnr)
    assert not errors.equal
    assert streamed([(one, one.copy())]).equal


@pytest.mark.parametrize(
    ("one", "two", "count"),
    [
        (np.array([1, 2, 300], np.int64), np.array([1, 5, 299], np.int64), 2),
        (np.array([True, False]), np.array([True, True]), 1),
        (np.array(["a", "b"], object), np.array(["a", "c"], object), 1),
    ],
)
def test_what_is_discrete_is_equal_or_not(one: np.ndarray, two: np.ndarray, count: int) -> None:
    errors = streamed([(one, one), (one, two)])
    assert errors.mismatches == count
    assert math.isnan(errors.sqnr)
    assert not errors.equal
    assert errors.elements == 2 * one.size


def test_precisions_are_compared_and_other_types_are_not() -> None:
    one = np.linspace(-1, 1, 50, dtype=np.float32)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        errors = streamed([(one, one.astype(dtype))])
        assert errors.widened is not None
        assert 35 < errors.sqnr < 90
    errors = streamed([(one, one.astype(np.int64))])
    assert errors.misshapen == "float32[50] and int64[50]"
    assert not errors.equal
    assert streamed([(one, one[:5])]).misshapen == "float32[50] and float32[5]"


def test_silence_is_no_division_by_zero() -> None:
    nothing, something = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert streamed([(nothing, something)]).sqnr == -math.inf
    assert streamed([(nothing, something)]).cosine == 0.0
    assert streamed([(nothing, nothing)]).sqnr == math.inf
    worst = streamed([(nothing, something)]).relative
    assert worst is not None
    assert worst.value == math.inf


def test_large_arrays_are_taken_in_pieces_and_sums_add_up() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(2, 3_000_001)).astype(np.float32)
    whole, left, right = Energy(), Energy(), Energy()
    whole.add(one, two)
    left.add(one[:1000], two[:1000])
    right.add(one[1000:], two[1000:])
    assert (left + right).sqnr == pytest.approx(whole.sqnr)
    assert whole.elements == one.size
    exact = 10 * math.log10(
        float(np.square(one.astype(float)).sum() / np.square(two - one.astype(float)).sum())
    )
    assert whole.sqnr == pytest.approx(exact)
