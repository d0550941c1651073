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

    def rows(self, parameter: np.ndarray, start: int, end: int) -> np.ndarray:
        """Return the part of a parameter that some rows of the tensor, along axis 0, have."""
        return parameter


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

    def rows(self, parameter: np.ndarray, start: int, end: int) -> np.ndarray:
        """Return the part of a parameter that some rows of the tensor, along axis 0, have."""
        return parameter[start:end] if self.axis == 0 else parameter


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerBlock:
    """One scale for every ``size`` neighbours along an axis, and each index of the others.

    It has the tensor's shape, with ``ceil(n / size)`` along the axis; the last block may be short.
    """

    axis: int
    size: int

    def extents(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest number of each part, in the scale's shape."""
        low, high = self._reduced(array, np.minimum), self._reduced(array, np.maximum)
        return np.minimum(low, 0), np.maximum(high, 0)

    def means(self, array: np.ndarray) -> np.ndarray:
        """Return the mean of each part, in the scale's shape."""
        length = array.shape[self.axis]
        starts = np.arange(0, length, self.size)
        sums = self._reduced(array, np.add)
        counts = np.diff(np.append(starts, length))
        return np.asarray(sums / PerAxis(axis=self.axis).spread(counts, sums.shape))

    def _reduced(self, array: np.ndarray, by: np.ufunc) -> np.ndarray:
        """Reduce every block; whole ones as an axis of their own, which is many times as fast."""
        before, length, after = (
            array.shape[: self.axis],
            array.shape[self.axis],
            array.shape[self.axis + 1 :],
        )
        count = length // self.size
        head, tail = np.split(array, [count * self.size], axis=self.axis)
        blocks = head.reshape(*before, count, self.size, *after)
        found = by.reduce(blocks, axis=self.axis + 1)
        if not tail.size:
            return np.asarray(found)
        rest = by.reduce(tail, axis=self.axis, keepdims=True)
        return np.concatenate([found, rest], axis=self.axis)

    def spread(self, parameter: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return a parameter in the tensor's shape."""
        wide = np.repeat(parameter, self.size, axis=self.axis)
        kept = [slice(None)] * wide.ndim
        kept[self.axis] = slice(shape[self.axis])
        return wide[tuple(kept)]

    def rows(self, parameter: np.ndarray, start: int, end: int) -> np.ndarray:
        """Return the part of a parameter that some rows of the tensor, along axis 0, have.

        Where blocks go along that axis, the rows must begin with one.
        """
        if self.axis:
            return parameter[start:end]
        return parameter[start // self.size : -(-end // self.size)]


Granularity = PerTensor | PerAxis | PerBlock
