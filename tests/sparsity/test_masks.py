"""Masks: how many weights go, and which."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onnxopt.errors import UsageError
from onnxopt.sparsity import masks
from onnxopt.sparsity.masks import Density
from onnxopt.sparsity.smallest import Smallest

MATRICES = arrays.arrays(np.float32, (5, 12), elements=st.floats(0, 8, width=32))
RATIOS = st.floats(0, 0.99)


@given(MATRICES, RATIOS)
def test_the_lowest_go_and_no_others(scores: np.ndarray, ratio: float) -> None:
    gone = masks.lowest(scores, ratio)
    assert gone.sum() == int(ratio * scores.size)
    if gone.any():
        assert scores[gone].max() <= scores[~gone].min()


@given(MATRICES, RATIOS)
def test_every_row_loses_as_many(scores: np.ndarray, ratio: float) -> None:
    gone = masks.choose(scores, Density(ratio=ratio))
    assert (gone.sum(axis=1) == int(ratio * 12)).all()
    for row, lost in zip(scores, gone, strict=True):
        assert not lost.any() or row[lost].max() <= row[~lost].min()


@pytest.mark.parametrize(("keep", "of"), [(2, 4), (1, 4), (4, 6), (1, 2)])
@given(scores=MATRICES)
def test_every_block_keeps_as_many_of_the_highest(scores: np.ndarray, keep: int, of: int) -> None:
    gone = masks.choose(scores, Density(keep=keep, of=of))
    for row, lost in zip(scores, gone, strict=True):
        for start in range(0, 12, of):
            block, out = row[start : start + of], lost[start : start + of]
            best = max(sum(some) for some in itertools.combinations(block, keep))
            assert block[~out].sum() == pytest.approx(best)
            assert out.sum() == of - keep


VECTORS = st.lists(arrays.arrays(np.float32, 7, elements=st.floats(-9, 9, width=32)), max_size=6)


@given(VECTORS, RATIOS)
def test_the_bound_is_that_of_sorting(found: list[np.ndarray], ratio: float) -> None:
    bound = Smallest(lambda: iter(found)).bound(ratio)
    ordered = np.sort(np.abs(np.concatenate(found))) if found else np.empty(0)
    rank = int(ratio * len(ordered))
    assert bound == (ordered[rank] if len(ordered) else np.inf)


@pytest.mark.parametrize(
    "options", [{"ratio": 1.0}, {"ratio": -0.1}, {"keep": 4, "of": 4}, {"keep": 2}, {"of": 4}]
)
def test_numbers_that_contradict_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Density(**options)
