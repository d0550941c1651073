"""What is kept of a stream of numbers: a fixed number of bytes, however many they are."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import numpy as np

from onnxopt.quantization.ranges import Range

HALF = 8192
"""Bins on either side of zero."""

CHUNK = 1 << 15
"""Elements that are looked at together: they stay in the processor's cache."""

_LEAST_EXPONENT = -100
"""Numbers below 2**-100 all share the bins next to zero."""


def extremes(array: np.ndarray) -> Range | None:
    """Return the lowest and highest number of an array, None of an empty one; NaN if it has any."""
    if not array.size:
        return None
    pairs = [(chunk.min(), chunk.max()) for chunk in _chunks(array.reshape(-1))]
    numbers = np.asarray(pairs, np.float64)
    return Range(low=float(numbers[:, 0].min()), high=float(numbers[:, 1].max()))


def _chunks(flat: np.ndarray) -> Iterator[np.ndarray]:
    return (flat[at : at + CHUNK] for at in range(0, flat.size, CHUNK))


_OF_THREAD = threading.local()


def _scratch() -> tuple[np.ndarray, np.ndarray]:
    """Return room for the numbers of a chunk and for their bins, one for all in a thread."""
    if not hasattr(_OF_THREAD, "scratch"):
        _OF_THREAD.scratch = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.int64)
    scratch: tuple[np.ndarray, np.ndarray] = _OF_THREAD.scratch
    return scratch


class Histogram:
    """Counts numbers in bins of one width, which doubles whenever they reach further.

    Bin i counts those from ``i * width`` to ``(i + 1) * width``, for i from -8192 to 8191. The
    width is a power of two, so a wider bin is exactly two narrower ones, and at least 4096 bins lie
    between zero and the number farthest from it.

    Of an array of more than ``limit`` elements only every k-th is counted, as k, from a random one
    on; k shares no divisor with the size, so that the elements come from everywhere in the array.
    Each element has the same chance, so the counts have the same expectation as without a limit.
    0 is no limit.
    """

    def __init__(self, limit: int = 0) -> None:
        self.counts = np.zeros(2 * HALF, np.int64)
        self.width = 0.0
        """0 as long as there were only zeros."""
        self._limit = limit

    def add(self, array: np.ndarray, reach: float, random: np.random.Generator) -> None:
        """Count the elements of an array, whose largest magnitude is ``reach``."""
        self._widen(reach)
        flat = array.reshape(-1)
        step = stride(flat.size, self._limit)
        for chunk in _chunks(flat[int(random.integers(step)) :: step] if step > 1 else flat):
            self.counts += step * self._count(chunk)

    def _count(self, chunk: np.ndarray) -> np.ndarray:
        numbers, bins = (scratch[: chunk.size] for scratch in _scratch())
        np.multiply(chunk, 1.0 / self.width if self.width else 0.0, out=numbers, casting="unsafe")
        np.add(numbers, np.float32(HALF), out=numbers)
        np.copyto(bins, numbers, casting="unsafe")
        counts = np.bincount(bins, minlength=2 * HALF + 1)
        counts[-2] += counts[-1]  # rounded up to the end
        return counts[:-1]

    def _widen(self, reach: float) -> None:
        if not reach:
            return
        exponent = max(math.frexp(reach)[1], _LEAST_EXPONENT)
        width = math.ldexp(1.0, exponent) / HALF
        if self.width:
            for _ in range(int(math.log2(width / self.width)) if width > self.width else 0):
                pairs = self.counts.reshape(-1, 2).sum(axis=1)
                self.counts = np.zeros_like(self.counts)
                self.counts[HALF // 2 : -HALF // 2] = pairs
        self.width = max(self.width, width)

    def edges(self) -> np.ndarray:
        """Return where the bins begin, and where the last one ends: float64 [2 * 8192 + 1]."""
        return np.arange(-HALF, HALF + 1) * self.width

    def quantile(self, share: float) -> tuple[float, float]:
        """Return the ends of the bin that holds the number below which a share of all lies."""
        up_to = np.cumsum(self.counts)
        place = int(np.searchsorted(up_to, max(share * up_to[-1], 0.5))) - HALF
        return place * self.width, (place + 1) * self.width


def stride(size: int, limit: int) -> int:
    """Return the least k that leaves at most ``limit`` of ``size``, both without common divisor."""
    if not limit or size <= limit:
        return 1
    step = -(-size // limit)
    while math.gcd(step, size) > 1:
        step += 1
    return step
