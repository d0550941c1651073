"""Zeros that the weights left over make up for."""

from __future__ import annotations

import numpy as np

from onnxopt.quantization.rounding import inverse_factor
from onnxopt.sparsity.masks import Density, choose, lowest

_PANEL = 128
"""Columns whose zeros are chosen together, and whose errors are handed on together."""


def sparsegpt(
    weight: np.ndarray, gram: np.ndarray, density: Density, *, damping: float = 0.01
) -> np.ndarray:
    """Return a matrix [rows, columns] with zeros whose products differ least from the old one's.

    ``gram`` is ``X^T X`` of the inputs, [columns, columns]. With U the upper Cholesky factor of the
    inverse of ``gram + damping * mean(diag) * I``, the weights with the least ``W^2 / diag(U)^2``
    of a panel of columns go; then column by column what goes is made up for behind it:
    ``W[:, j] -= W[:, i] U[i, j] / U[i, i]`` for every j > i. Source: Frantar and Alistarh,
    SparseGPT, 2023.
    """
    upper = inverse_factor(gram, damping)
    diagonal = np.diag(upper)
    left = weight.astype(np.float64)
    panel = _PANEL - _PANEL % density.of if 0 < density.of <= _PANEL else density.of or _PANEL
    for start in range(0, left.shape[1], panel):
        end = min(start + panel, left.shape[1])
        gone = _chosen((left[:, start:end] / diagonal[start:end]) ** 2, density)
        errors = np.zeros((len(left), end - start))
        for at in range(start, end):
            if density.patterned and (at - start) % density.of == 0:
                block = slice(at, at + density.of)
                scores = (left[:, block] / diagonal[block]) ** 2
                gone[:, at - start : at - start + density.of] = choose(scores, density)
            lost = np.where(gone[:, at - start], left[:, at], 0)
            errors[:, at - start] = lost / diagonal[at]
            left[:, at:end] -= errors[:, at - start, None] * upper[at, at:end]
        left[:, start:end][gone] = 0
        left[:, end:] -= errors @ upper[start:end, end:]
    return left


def _chosen(scores: np.ndarray, density: Density) -> np.ndarray:
    if density.patterned:
        return np.zeros(scores.shape, bool)
    return lowest(scores, density.ratio)
