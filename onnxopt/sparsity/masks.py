"""Which weights of a matrix [rows, columns] become zero."""

from __future__ import annotations

import dataclasses

import numpy as np

from onnxopt.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Density:
    """How many weights go: a share of them, or all but ``keep`` of every ``of`` neighbours.

    Raises UsageError where the numbers contradict one another.
    """

    ratio: float = 0.5
    keep: int = 0
    of: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise UsageError(f"ratio is the share of weights that go, 0 to below 1: {self.ratio}")
        if self.of and not 0 < self.keep < self.of:
            raise UsageError(f"keep={self.keep} of={self.of}: keep at least 1, fewer than 'of'")
        if self.keep and not self.of:
            raise UsageError(f"keep={self.keep} of how many? 'of' is missing: 2:4 is keep=2, of=4")

    @property
    def patterned(self) -> bool:
        """Return whether neighbours are counted."""
        return self.of > 0


def lowest(scores: np.ndarray, ratio: float) -> np.ndarray:
    """Return which numbers of any shape are the lowest of all, ``floor(ratio size)`` of them.

    Of equal ones those that come first.
    """
    chosen = np.zeros(scores.size, bool)
    count = int(ratio * scores.size)
    chosen[np.argsort(scores, axis=None, kind="stable")[:count]] = True
    return chosen.reshape(scores.shape)


def lowest_of_rows(scores: np.ndarray, ratio: float) -> np.ndarray:
    """Return which numbers are the lowest of their row: [rows, columns]."""
    count = int(ratio * scores.shape[1])
    chosen = np.zeros(scores.shape, bool)
    order = np.argsort(scores, axis=1, kind="stable")[:, :count]
    np.put_along_axis(chosen, order, values=True, axis=1)
    return chosen


def lowest_of_blocks(scores: np.ndarray, density: Density) -> np.ndarray:
    """Return all but the ``keep`` highest of every ``of`` neighbouring columns.

    The number of columns must be a multiple of ``of``.
    """
    rows, columns = scores.shape
    blocks = scores.reshape(rows * (columns // density.of), density.of)
    order = np.argsort(blocks, axis=1, kind="stable")[:, : density.of - density.keep]
    chosen = np.zeros(blocks.shape, bool)
    np.put_along_axis(chosen, order, values=True, axis=1)
    return chosen.reshape(scores.shape)


def choose(scores: np.ndarray, density: Density) -> np.ndarray:
    """Return which weights of a matrix go, those with the lowest scores of their row."""
    if density.patterned:
        return lowest_of_blocks(scores, density)
    return lowest_of_rows(scores, density.ratio)
