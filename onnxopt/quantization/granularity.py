"""How far one scale reaches: over a whole tensor, one index of an axis, or a block of an axis."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerTensor:
    """One scale for all; it has shape []."""

    def extents(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest number of each part, in the scale's shape."""
        return array.min(initial=0.0), array.max(initial=0.0)

    def means(self, array: np.ndarray) -> np.ndarray:
        """Return the mean of each part, in the scale's shape."""
        return np.asarray(array.mean())

    def spread(self, parameter: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return a parameter in a shape that broadcasts against the tensor's."""
        return parameter.reshape(())


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerAxis:
    """One scale for each index of an axis; it has shape [n]."""

    axis: int
    """Counted from the front."""

    def extents(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest number of each part, in the scale's shape."""
        rest = tuple(a for a in range(array.ndim) if a != self.axis)
        return array.min(axis=rest, initial=0.0), array.max(axis=rest, initial=0.0)

    def means(self, array: np.ndarray) -> np.ndarray:
        """Return the mean of each part, in the scale's shape."""
        return np.asarray(array.mean(axis=tuple(a for a in range(array.ndim) if a != self.axis)))

    def spread(self, parameter: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return a parameter in a shape that broadcasts against the tensor's."""
        ones = [1] * len(shape)
        ones[self.axis] = -1
        return parameter.reshape(ones)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerBlock:
    """One scale for every ``size`` neighbours along an axis, and each index of the others.

    It has the tensor's shape, with ``ceil(n / size)`` along the axis; the last block may be short.
    """

    axis: int
    size: int

    def extents(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest number of each part, in the scale's shape."""
        starts = np.arange(0, array.shape[self.axis], self.size)
        low = np.minimum.reduceat(array, starts, axis=self.axis)
        high = np.maximum.reduceat(array, starts, axis=self.axis)
        return np.minimum(low, 0), np.maximum(high, 0)

    def means(self, array: np.ndarray) -> np.ndarray:
        """Return the mean of each part, in the scale's shape."""
        length = array.shape[self.axis]
        starts = np.arange(0, length, self.size)
        sums = np.add.reduceat(array, starts, axis=self.axis)
        counts = np.diff(np.append(starts, length))
        return np.asarray(sums / PerAxis(axis=self.axis).spread(counts, sums.shape))

    def spread(self, parameter: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return a parameter in the tensor's shape."""
        wide = np.repeat(parameter, self.size, axis=self.axis)
        return wide.take(range(shape[self.axis]), axis=self.axis)


Granularity = PerTensor | PerAxis | PerBlock
