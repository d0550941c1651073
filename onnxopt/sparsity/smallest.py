"""The bound below which a share of many numbers lies, found without holding them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

_LOW = 15
"""Bits of a float32 magnitude that the second look tells apart; the first does the 16 above."""


class Smallest:
    """Magnitudes of float32 arrays that are read twice, one at a time.

    The bits of a non-negative float32, read as an integer, are in the order of the numbers: one
    histogram of the upper 16 bits finds the bin, a second one of the lower 15 the number in it.
    """

    def __init__(self, arrays: Callable[[], Iterable[np.ndarray]]) -> None:
        self._arrays = arrays

    def bound(self, ratio: float) -> float:
        """Return the ``floor(ratio n)``-th smallest of n magnitudes, counted from 0."""
        counts = self._histogram(None)
        rank = int(ratio * counts.sum())
        above = np.cumsum(counts)
        high = int(np.searchsorted(above, rank, side="right"))
        if high == len(counts):
            return float("inf")
        rank -= int(above[high] - counts[high])
        low = int(np.searchsorted(np.cumsum(self._histogram(high)), rank, side="right"))
        return float(np.uint32(high << _LOW | low).view(np.float32))

    def _histogram(self, bin_: int | None) -> np.ndarray:
        counts = np.zeros(1 << (16 if bin_ is None else _LOW), np.int64)
        for array in self._arrays():
            bits = np.abs(np.asarray(array, np.float32)).reshape(-1).view(np.uint32)
            places = bits >> _LOW
            if bin_ is not None:
                places = bits[places == bin_] & ((1 << _LOW) - 1)
            counts += np.bincount(places, minlength=len(counts))
        return counts
