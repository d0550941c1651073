"""Arrays that should hold the same, element by element."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

_SLICE = 64
"""Elements that a slice of an array needs to have a scale of its own."""


def leaves(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Take sequences and maps apart into named arrays."""
    if isinstance(value, list):
        for at, element in enumerate(value):
            yield from leaves(f"{name}[{at}]", element)
    elif isinstance(value, Mapping):
        for key, element in value.items():
            yield from leaves(f"{name}[{key!r}]", element)
    else:
        yield name, np.asarray(value)


def discrete(array: np.ndarray) -> bool:
    """Return whether the elements are integers, booleans, strings or dates: equal or not."""
    if array.dtype.kind in "biuOUSM":
        return True
    return array.dtype.kind == "V" and array.dtype.name.startswith(("int", "uint"))


def wide(array: np.ndarray) -> np.ndarray:
    """Return numbers in double precision."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def scales(magnitude: np.ndarray) -> np.ndarray:
    """Return each element's scale: the least of the maxima of the slices that hold it.

    A slice is one along an axis, of at least 64 elements; without one it is all of the array. No
    scale is less than 1/4096 of the largest magnitude.
    """
    whole = float(magnitude.max(initial=0.0))
    scale = np.full(magnitude.shape, whole)
    for axis in range(magnitude.ndim):
        if magnitude.shape[axis] > 1 and magnitude.size // magnitude.shape[axis] >= _SLICE:
            others = tuple(a for a in range(magnitude.ndim) if a != axis)
            scale = np.minimum(scale, magnitude.max(axis=others, keepdims=True))
    return np.asarray(np.maximum(scale, whole / 4096))


@dataclasses.dataclass(frozen=True)
class Elements:
    """How two arrays of floating-point numbers of one shape differ; all fields have that shape."""

    difference: np.ndarray
    """Absolute, and 0 where either is not finite."""
    scale: np.ndarray
    """Of the expected element."""
    strange: np.ndarray
    """Whether one is NaN or infinite and the other is not, or not in the same way."""

    @classmethod
    def of(cls, expected: np.ndarray, actual: np.ndarray) -> Self:
        """Compare arrays in double precision."""
        finite = np.isfinite(expected) & np.isfinite(actual)
        with np.errstate(invalid="ignore"):
            strange = ~finite & ~((expected == actual) | (np.isnan(expected) & np.isnan(actual)))
            difference = np.where(finite, np.abs(actual - expected), 0)
        scale = scales(np.where(np.isfinite(expected), np.abs(expected), 0))
        return cls(difference, scale, strange)

    @property
    def relative(self) -> np.ndarray:
        """The differences as shares of the scale; infinite where the scale is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.difference > 0, self.difference / self.scale, 0.0)
