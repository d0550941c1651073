"""How much each unit matters, by its weights or by what goes through it."""

from __future__ import annotations

from typing import Literal

import numpy as np


def norm(rows: np.ndarray, order: Literal[1, 2]) -> np.ndarray:
    """Return the L1 or L2 norm of each unit's weights: [units] from [units, weights]."""
    return np.asarray(np.linalg.norm(rows, ord=order, axis=1))


def geometric_median(rows: np.ndarray) -> np.ndarray:
    """Return the sum of distances to all units: small where others can stand for it.

    He et al., Filter Pruning via Geometric Median, 2019. [units] from [units, weights].
    """
    wide = rows.astype(np.float64)
    square = np.square(wide).sum(axis=1)
    apart = square[:, None] + square[None] - 2 * wide @ wide.T
    np.fill_diagonal(apart, 0.0)
    return np.asarray(np.sqrt(np.maximum(apart, 0.0)).sum(axis=1))


def wanda(weight: np.ndarray, energy: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the sum of |w| √E[x²] over the weights that read each unit.

    Sun et al., A Simple and Effective Pruning Approach for Large Language Models, 2023. The weight
    is [outputs, columns], ``energy`` E[x²] [columns], ``columns`` [units, k].
    """
    each = np.abs(weight).sum(axis=0) * np.sqrt(energy)
    return np.asarray(each[columns].sum(axis=1))
