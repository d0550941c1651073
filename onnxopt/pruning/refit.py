"""The weights and biases that come closest to wanted outputs, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from onnxopt.pruning.moments import Moments

RIDGE = 1e-3
"""What is added to the second moments, as a share of their mean."""

FEW, RIDGES = 5, (RIDGE, 1e-2, 1e-1, 1.0)
"""Rows for each column below which the ridge is chosen, and from which."""

Solver = Callable[[np.ndarray], np.ndarray]


class Affine(NamedTuple):
    """Weights [groups, outputs, columns] and biases [groups, outputs]."""

    weight: np.ndarray
    bias: np.ndarray


class Refit:
    """Minimises E|t - W x - b|² + λ|W - W₀|² over the columns kept; others become zero.

    ``kept`` is a mask [columns]. λ is ``ridge`` times the mean of the second moments. Without a
    bias the moments are not centred and the bias stays. A layer that computes t already stays what
    it is, for the equations are solved for the difference from W₀.
    """

    def __init__(
        self,
        moments: Moments,
        before: Affine,
        kept: np.ndarray,
        *,
        has_bias: bool = True,
        ridge: float = RIDGE,
    ) -> None:
        self._before, self._has_bias = before, has_bias
        self._left = np.flatnonzero(kept)
        self._weight = np.where(kept, before.weight, 0.0).astype(np.float64)
        gram = moments.centred_gram() if has_bias else moments.gram / moments.count
        self._grams = [each[np.ix_(self._left, self._left)] for each in gram]
        self._solvers = [solver(each, ridge) for each in self._grams]

    def to(self, moments: Moments) -> Affine:
        """Return what comes closest to what is wanted of the same positions."""
        bias, left = self._before.bias, self._left
        if self._has_bias:
            cross = moments.centred_cross()
        else:
            cross = moments.cross / moments.count
            cross = cross - bias[:, :, None] * (moments.x / moments.count)[:, None, :]
        weight = self._weight.copy()
        for group, (gram, solve) in enumerate(zip(self._grams, self._solvers, strict=True)):
            lack = cross[group][:, left] - weight[group][:, left] @ gram
            weight[group][:, left] += solve(lack.T).T
        return Affine(weight, centre(moments, weight) if self._has_bias else bias)


def chosen_ridge(
    first: Moments, second: Moments, before: Affine, kept: np.ndarray, *, has_bias: bool = True
) -> float:
    """Return how much to add to the second moments: what errs least on a half that it did not see.

    Few rows let weights follow chance: they are then held nearer to what they were.
    """
    if first.count + second.count >= FEW * int(kept.sum()) or not second.count:
        return RIDGE

    def lost(ridge: float) -> float:
        return error(second, Refit(first, before, kept, has_bias=has_bias, ridge=ridge).to(first))

    return min(RIDGES, key=lost)


def centre(moments: Moments, weight: np.ndarray) -> np.ndarray:
    """Return the biases with which the means of the outputs are right: [groups, outputs]."""
    means = (weight @ moments.x[:, :, None])[:, :, 0]
    return np.asarray((moments.t - means) / moments.count)


def error(moments: Moments, fitted: Affine, variance: np.ndarray | None = None) -> float:
    """Return E|t - W x - b|² over the variance of t, or one given, summed over outputs.

    Infinite where the wanted outputs do not vary and something else is computed.
    """
    count = moments.count
    weight, bias = fitted
    square = np.einsum("goc,gcd,god->", weight, moments.gram / count, weight, optimize=True)
    mixed = np.sum(weight * moments.cross) / count
    means = np.sum(bias * (weight @ moments.x[:, :, None])[:, :, 0]) / count
    rest = np.sum(moments.energy - 2 * bias * moments.t) / count + np.sum(np.square(bias))
    missed = max(float(square - 2 * mixed + 2 * means + rest), 0.0)
    signal = float((moments.variance() if variance is None else variance).sum())
    if signal > 0:
        return missed / signal
    return 0.0 if missed == 0 else float("inf")


def solver(gram: np.ndarray, ridge: float) -> Solver:
    """Return what solves (gram + λ I) x = right, λ being ``ridge`` times the mean of the diagonal.

    Where that is singular, for columns that are always zero, λ grows until it is not.
    """
    size = len(gram)
    level = float(np.trace(gram)) / size if size else 0.0
    if level <= 0:
        return np.zeros_like
    while True:
        try:
            shifted = gram.copy()
            shifted[np.diag_indices(size)] += ridge * level
            inverse = np.linalg.inv(np.linalg.cholesky(shifted))
            break
        except np.linalg.LinAlgError:
            ridge = max(ridge * 10, 1e-12)
    return lambda right: np.asarray(inverse.T @ (inverse @ right))
