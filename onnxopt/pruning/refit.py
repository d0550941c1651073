"""The weights and biases that come closest to wanted outputs, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxopt.pruning.moments import Moments

RIDGE = 1e-3
"""What is added to the second moments, as a share of their mean."""


class Affine(NamedTuple):
    """Weights [groups, outputs, columns] and biases [groups, outputs]."""

    weight: np.ndarray
    bias: np.ndarray


def refit(
    moments: Moments,
    before: Affine,
    kept: np.ndarray,
    *,
    has_bias: bool = True,
    ridge: float = RIDGE,
) -> Affine:
    """Minimise E|t - W x - b|² + λ|W - W₀|² over the columns kept; others become zero.

    ``kept`` is a mask [columns]. λ is ``ridge`` times the mean of the second moments. Without a
    bias the moments are not centred and the bias stays. A layer that computes t already stays what
    it is, for the equations are solved for the difference from W₀.
    """
    if has_bias:
        gram, cross = moments.centred()
    else:
        gram, cross = moments.gram / moments.count, moments.cross / moments.count
        cross = cross - before.bias[:, :, None] * (moments.x / moments.count)[:, None, :]
    weight = np.where(kept, before.weight, 0.0).astype(np.float64)
    left = np.flatnonzero(kept)
    for group in range(len(weight)):
        inner = gram[group][np.ix_(left, left)]
        lack = cross[group][:, left] - weight[group][:, left] @ inner
        weight[group][:, left] += solve(inner, lack.T, ridge).T
    if not has_bias:
        return Affine(weight, before.bias)
    return Affine(weight, centre(moments, weight))


def centre(moments: Moments, weight: np.ndarray) -> np.ndarray:
    """Return the biases with which the means of the outputs are right: [groups, outputs]."""
    means = (weight @ moments.x[:, :, None])[:, :, 0]
    return np.asarray((moments.t - means) / moments.count)


def error(moments: Moments, fitted: Affine) -> float:
    """Return E|t - W x - b|² over the variance of t, summed over outputs.

    Infinite where the wanted outputs do not vary and something else is computed.
    """
    count = moments.count
    weight, bias = fitted
    square = np.einsum("goc,gcd,god->", weight, moments.gram / count, weight, optimize=True)
    mixed = np.sum(weight * moments.cross) / count
    means = np.sum(bias * (weight @ moments.x[:, :, None])[:, :, 0]) / count
    rest = np.sum(moments.energy - 2 * bias * moments.t) / count + np.sum(np.square(bias))
    missed = max(float(square - 2 * mixed + 2 * means + rest), 0.0)
    signal = float(moments.variance().sum())
    if signal > 0:
        return missed / signal
    return 0.0 if missed == 0 else float("inf")


def solve(gram: np.ndarray, right: np.ndarray, ridge: float) -> np.ndarray:
    """Solve (gram + λ I) x = right, λ being ``ridge`` times the mean of the diagonal.

    Where that is singular, for columns that are always zero, λ grows until it is not.
    """
    size = len(gram)
    if not size:
        return np.zeros_like(right)
    level = float(np.trace(gram)) / size
    if level <= 0:
        return np.zeros_like(right)
    while True:
        try:
            factor = np.linalg.cholesky(gram + ridge * level * np.eye(size))
        except np.linalg.LinAlgError:
            ridge = max(ridge * 10, 1e-12)
            continue
        return np.asarray(np.linalg.solve(factor.T, np.linalg.solve(factor, right)))
