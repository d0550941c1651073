"""Signal to noise and cosine similarity, over any number of arrays in constant memory."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from onnxopt.elements import discrete

_CHUNK = 1 << 20
"""Elements that are held in double precision at one time."""


@dataclasses.dataclass
class Energy:
    """Sums over pairs of arrays; add to it, then ask. Both arrays of a pair have one shape.

    Elements that are not finite in both arrays stay out of the sums and are counted: as ``strange``
    where one is NaN or infinite and the other is not, or not in the same way.
    """

    signal: float = 0.0
    """Of the squares of the expected elements."""
    other: float = 0.0
    """Of the squares of the actual elements."""
    product: float = 0.0
    noise: float = 0.0
    """Of the squares of the differences."""
    elements: int = 0
    strange: int = 0

    def add(self, expected: np.ndarray, actual: np.ndarray) -> None:
        """Add a pair of arrays of numbers; integers and booleans count as numbers too."""
        one, two = expected.reshape(-1), actual.reshape(-1)
        for start in range(0, one.size, _CHUNK):
            self._add(_double(one[start : start + _CHUNK]), _double(two[start : start + _CHUNK]))

    def _add(self, expected: np.ndarray, actual: np.ndarray) -> None:
        self.elements += expected.size
        finite = np.isfinite(expected) & np.isfinite(actual)
        if not finite.all():
            one, two = expected[~finite], actual[~finite]
            self.strange += int(np.count_nonzero(~((one == two) | (np.isnan(one) & np.isnan(two)))))
            expected, actual = expected[finite], actual[finite]
        self.signal += float(expected @ expected)
        self.other += float(actual @ actual)
        self.product += float(expected @ actual)
        difference = actual - expected
        self.noise += float(difference @ difference)

    def __add__(self, more: Energy) -> Energy:
        return Energy(
            self.signal + more.signal,
            self.other + more.other,
            self.product + more.product,
            self.noise + more.noise,
            self.elements + more.elements,
            self.strange + more.strange,
        )

    @property
    def sqnr(self) -> float:
        """``10 log10(signal / noise)`` in dB; infinite where there is no noise.

        NaN where an element is strange, for no number says how bad that is.
        """
        if self.strange:
            return math.nan
        if not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf

    @property
    def cosine(self) -> float:
        """``<expected, actual> / (|expected| |actual|)``; 1 for two zeros, 0 for one of them."""
        if self.strange:
            return math.nan
        if not self.noise:
            return 1.0
        length = math.sqrt(self.signal) * math.sqrt(self.other)
        return max(-1.0, min(1.0, self.product / length)) if length else 0.0


def _double(array: np.ndarray) -> np.ndarray:
    """Return numbers in double precision; complex ones as pairs."""
    if array.dtype.kind == "c":
        return array.astype(np.complex128).view(np.float64)
    return array.astype(np.float64)


def numeric(array: np.ndarray) -> bool:
    """Return whether an array holds numbers, which may lie near others, and no strings or dates."""
    return array.dtype.kind in "biufc" or (array.dtype.kind == "V" and array.dtype.fields is None)


def continuous(array: np.ndarray) -> bool:
    """Return whether an array holds floating-point numbers."""
    return numeric(array) and not discrete(array)
