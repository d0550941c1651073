"""How far to clip a range so that the numbers inside it are told apart better."""

from __future__ import annotations

import numpy as np

from onnxopt.quantization.ranges import Range
from onnxopt.quantization.sketch import HALF, Histogram

SHARES: tuple[float, ...] = tuple(2.0 ** (-step / 16) for step in range(97))
"""The shares of the farthest number at which ranges are tried: from 1 down to 1/64."""

_KEPT = 0.9


def thresholds(seen: Range, *, symmetric: bool) -> np.ndarray:
    """Return the ranges that are tried, widest first: [97, 2], each holding zero."""
    reach = max(-seen.low, seen.high) * np.asarray(SHARES)
    if symmetric:
        return np.stack([-reach, reach], axis=1)
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    return np.stack([np.maximum(-reach, low), np.minimum(reach, high)], axis=1)


def least_divergence(found: Histogram, tried: np.ndarray, levels: int) -> int:
    """Return which range distorts the distribution least when it is quantized to ``levels``.

    The bins inside a range, those outside added to the outermost, are a distribution P; the same
    bins, without those outside, merged into ``levels`` equal parts, and each part spread evenly
    over its bins that are not empty, a distribution Q. The range with the least Kullback-Leibler
    divergence of Q from P wins, the first of equals. Zero is exact in every range, so its bin
    counts as much as the next. Source: S. Migacz, 8-bit Inference with TensorRT, GTC 2017.
    """
    counts = found.counts.astype(np.float64)
    counts[HALF] = counts[HALF + 1]
    return int(np.argmin(divergences(counts, *bins(found, tried), levels)))


def bins(found: Histogram, tried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each range the first bin that it holds, and the first after it that it does not.

    It holds two at least.
    """
    first = np.clip(np.floor(tried[:, 0] / found.width) + HALF, 0, 2 * HALF - 2)
    last = np.clip(np.ceil(tried[:, 1] / found.width) + HALF, first + 2, 2 * HALF)
    return first.astype(int), last.astype(int)


def divergences(counts: np.ndarray, first: np.ndarray, last: np.ndarray, levels: int) -> np.ndarray:
    """Return the Kullback-Leibler divergence for each range of bins.

    With n the counts in P, s a part's sum of them, S its sum in Q and m its bins that are not
    empty, ``(sum n log n - sum s log (S / m)) / N - log N + log sum S``, all from running sums. In
    a part that holds only what lies outside, S is taken as 1. Infinite for a range that does not
    hold nine tenths of the numbers.
    """
    sums, filled, terms = (_running(c) for c in (counts, counts > 0, _log_times(counts)))
    cuts = np.rint(np.linspace(first, last, levels + 1, axis=1)).astype(int)
    merged = np.diff(sums[cuts], axis=1)
    occupied = np.diff(filled[cuts], axis=1)
    true = merged.copy()
    own = terms[last] - terms[first]
    for end, outside in ((first, sums[first]), (last - 1, sums[-1] - sums[last])):
        at = np.arange(len(end)), (cuts <= end[:, None]).sum(axis=1) - 1
        true[at] += outside
        occupied[at] += (counts[end] == 0) & (outside > 0)
        own += _log_times(counts[end] + outside) - _log_times(counts[end])
    merged = np.where(true > 0, np.maximum(merged, 1.0), 0.0)
    spread = true * np.log(np.maximum(merged, 1.0) / np.maximum(occupied, 1.0))
    found = (own - spread.sum(axis=1)) / sums[-1] + np.log(merged.sum(axis=1) / sums[-1])
    return np.where(sums[last] - sums[first] >= _KEPT * sums[-1], found, np.inf)


def least_error(found: Histogram, tried: np.ndarray, levels: int, *, symmetric: bool) -> np.ndarray:
    """Return the range with the least squared error of rounding and clipping: [2].

    Of the ranges tried the best, the first of equals; then, unless it must be symmetric, the best
    of those with one end moved, first the upper and then the lower.
    """
    measure = Errors(found)
    best: np.ndarray = tried[int(np.argmin(measure(tried, levels)))]
    for end in () if symmetric else (1, 0):
        moved = np.tile(best, (len(tried), 1))
        moved[:, end] = tried[0, end] * np.asarray(SHARES)
        moved = np.concatenate([best[None], moved])
        best = moved[int(np.argmin(measure(moved, levels)))]
    return best


class Errors:
    """The mean squared error of ranges on a histogram whose bins are filled evenly.

    A level at q stands for the numbers from half a step below it to half a step above, the
    outermost for all beyond; the error there is ``M2 - 2 q M1 + q^2 M0`` with the moments M of the
    numbers, differences of running ones.
    """

    def __init__(self, found: Histogram) -> None:
        start = np.arange(-HALF, HALF, dtype=np.float64)
        self._counts = found.counts.astype(np.float64)
        self._width = found.width
        self._start = start
        self._zeroth = _running(self._counts)
        self._first = _running(self._counts * (start + 1 / 2))
        self._second = _running(self._counts * (start * start + start + 1 / 3))

    def __call__(self, tried: np.ndarray, levels: int) -> np.ndarray:
        """Return the error for each range [n, 2], quantized to ``levels`` with zero exact."""
        low, high = tried.T / self._width
        step = np.maximum((high - low) / (levels - 1), np.finfo(np.float64).tiny)
        zero = np.rint(-low / step)
        level = (np.arange(levels) - zero[:, None]) * step[:, None]
        middle = level[:, :-1] + step[:, None] / 2
        ends = np.full((len(tried), 1), float(HALF))
        zeroth, first, second = self._moments(np.concatenate([-ends, middle, ends], axis=1))
        error = np.diff(second) - 2 * level * np.diff(first) + level * level * np.diff(zeroth)
        found: np.ndarray = error.sum(axis=1) * (self._width**2 / max(self._zeroth[-1], 1.0))
        return found

    def _moments(self, below: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the moments of the numbers below some, in widths of a bin."""
        inside = np.clip(below, -HALF, HALF)
        at = np.minimum(np.floor(inside).astype(int) + HALF, 2 * HALF - 1)
        part, start, count = inside - self._start[at], self._start[at], self._counts[at]
        return (
            self._zeroth[at] + count * part,
            self._first[at] + count * part * (start + part / 2),
            self._second[at] + count * part * (start * (start + part) + part * part / 3),
        )


def _running(numbers: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(numbers, dtype=np.float64)])


def _log_times(numbers: np.ndarray) -> np.ndarray:
    found: np.ndarray = numbers * np.log(np.maximum(numbers, 1.0))
    return found
