"""First and second moments of what a layer multiplies and of what it should compute."""

from __future__ import annotations

import numpy as np


class Moments:
    """Sums over positions of inputs x and wanted outputs t, in float64, for each group of channels.

    ``gram`` is the sum of x xᵀ [groups, columns, columns], ``cross`` that of t xᵀ [groups, outputs,
    columns]; ``x`` and ``t`` are the sums of x [groups, columns] and of t [groups, outputs],
    ``energy`` that of t² [groups, outputs].
    """

    def __init__(self, groups: int, columns: int, outputs: int) -> None:
        self.count = 0
        self.x = np.zeros((groups, columns))
        self.t = np.zeros((groups, outputs))
        self.gram = np.zeros((groups, columns, columns))
        self.cross = np.zeros((groups, outputs, columns))
        self.energy = np.zeros((groups, outputs))

    def add(self, x: np.ndarray, t: np.ndarray) -> None:
        """Add positions: x is [groups, positions, columns], t [groups, positions, outputs]."""
        wide = x.astype(np.float64)
        self.count += wide.shape[1]
        self.x += wide.sum(axis=1)
        for group, one in enumerate(wide):
            self.gram[group] += one.T @ one  # BLAS computes half of it where both are one array
        self.want(wide, t)

    def want(self, x: np.ndarray, t: np.ndarray) -> None:
        """Add what is wanted of positions that are there already."""
        wide, wanted = x.astype(np.float64), t.astype(np.float64)
        self.t += wanted.sum(axis=1)
        for group, (one, other) in enumerate(zip(wide, wanted, strict=True)):
            self.cross[group] += other.T @ one
        self.energy += np.square(wanted).sum(axis=1)

    def joined(self, other: Moments) -> Moments:
        """Return the moments of the positions of both."""
        groups, outputs, columns = self.cross.shape
        found = Moments(groups, columns, outputs)
        found.count = self.count + other.count
        found.x, found.t = self.x + other.x, self.t + other.t
        found.gram, found.cross = self.gram + other.gram, self.cross + other.cross
        found.energy = self.energy + other.energy
        return found

    def unwanted(self) -> Moments:
        """Return the moments of the same positions with nothing wanted of them yet."""
        groups, outputs, columns = self.cross.shape
        found = Moments(groups, columns, outputs)
        found.count, found.x, found.gram = self.count, self.x, self.gram
        return found

    @property
    def finite(self) -> bool:
        """Return whether something was seen, and nothing of it was NaN or infinite."""
        return bool(self.count and np.isfinite(self.gram).all() and np.isfinite(self.energy).all())

    def centred_gram(self) -> np.ndarray:
        """Return ``gram`` of x less its mean, over the count."""
        mean = self.x / self.count
        return np.asarray(self.gram / self.count - mean[:, :, None] * mean[:, None, :])

    def centred_cross(self) -> np.ndarray:
        """Return ``cross`` of x and t less their means, over the count."""
        means = (self.t / self.count)[:, :, None] * (self.x / self.count)[:, None, :]
        return np.asarray(self.cross / self.count - means)

    def variance(self) -> np.ndarray:
        """Return the variance of each wanted output: [groups, outputs]."""
        spread = self.energy / self.count - np.square(self.t / self.count)
        return np.asarray(np.maximum(spread, 0.0))
