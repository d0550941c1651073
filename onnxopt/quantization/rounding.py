"""Integers for weights that change least what a layer computes."""

from __future__ import annotations

import dataclasses

import numpy as np

from onnxopt.quantization.granularity import Granularity, PerAxis, PerBlock
from onnxopt.quantization.params import Params, fit, fit_array, rounded
from onnxopt.quantization.types import BINARY, QuantType

_PANEL = 128
"""Columns whose errors are handed on together to those behind them."""

SHRINK = tuple(1 - step / 20 for step in range(11))
"""The shares of a part's range at which it is tried: 1 down to 1/2."""


def per_row(block: int) -> Granularity:
    """Return one scale for each row of a matrix, or for blocks of so many columns of it."""
    return PerBlock(axis=1, size=block) if block else PerAxis(axis=0)


def least_error(
    weight: np.ndarray, kind: QuantType, block: int, *, symmetric: bool, importance: np.ndarray
) -> Params:
    """Return parameters for a matrix [rows, columns], each range clipped for the least error.

    The error is the squared one of rounding, each column's weighed by its ``importance``, and the
    ranges tried are shares of what the weights of a part span: 1, 0.95, … 0.5. Binary numbers have
    no range; theirs is the mean magnitude.
    """
    granularity = per_row(block)
    if kind is BINARY:
        return fit_array(weight, kind, granularity, symmetric=symmetric)
    low, high = granularity.extents(weight)
    best_scale = best_zero = least = None
    for share in SHRINK:
        found = fit(share * low, share * high, kind, symmetric=symmetric, granularity=granularity)
        squared = importance * (rounded(weight, found) - weight) ** 2
        error = _sums(squared, block)
        if least is None or best_scale is None or best_zero is None:
            least, best_scale, best_zero = error, found.scale, found.zero_point
            continue
        better = error < least
        least = np.where(better, error, least)
        best_scale = np.where(better, found.scale, best_scale)
        best_zero = np.where(better, found.zero_point, best_zero)
    assert best_scale is not None
    assert best_zero is not None
    return Params(type=kind, granularity=granularity, scale=best_scale, zero_point=best_zero)


def _sums(array: np.ndarray, block: int) -> np.ndarray:
    if not block:
        return np.asarray(array.sum(axis=1))
    return np.add.reduceat(array, np.arange(0, array.shape[1], block), axis=1)


def pinned(weight: np.ndarray, params: Params, *, symmetric: bool) -> np.ndarray:
    """Return which weights must keep the outermost integers: the extremes of each part, [-1, 0, 1].

    As long as they do, parameters fitted to the rounded weights are those they were rounded with.
    """
    granularity = params.granularity
    shape = weight.shape
    if params.type is BINARY:
        return np.zeros(shape, np.int8)
    low, high = (granularity.spread(end, shape) for end in granularity.extents(weight))
    pins: np.ndarray = (weight == high).astype(np.int8) - (weight == low).astype(np.int8)
    balanced = symmetric or params.type.zero_fixed
    return pins * (np.abs(weight) == np.maximum(high, -low)) if balanced else pins


def gptq(
    weight: np.ndarray, gram: np.ndarray, params: Params, *, symmetric: bool, damping: float = 0.01
) -> np.ndarray:
    """Return the integers of a matrix [rows, columns] that change its products least.

    ``gram`` is ``X^T X`` of the inputs, [columns, columns]. The columns are rounded one by one,
    those with the largest inputs first, and what a column loses is made up for by those that are
    left: with U the upper Cholesky factor of the inverse of ``gram + damping * mean(diag) * I``,
    ``W[:, j] -= (W[:, i] - Q[:, i]) U[i, j] / U[i, i]`` for every j behind i. Source: Frantar et
    al., GPTQ, 2022.
    """
    order = np.argsort(-np.diag(gram), kind="stable")
    back = np.argsort(order)
    upper = inverse_factor(gram[np.ix_(order, order)], damping)
    shape = weight.shape
    spread = params.granularity.spread
    scale = np.broadcast_to(spread(params.scale.astype(np.float64), shape), shape)[:, order]
    zero = np.broadcast_to(spread(params.zero_point, shape), shape)[:, order]
    pins = pinned(weight, params, symmetric=symmetric)[:, order]
    kind = params.type
    least, most = lowest(kind, symmetric=symmetric), kind.qmax
    left = weight.astype(np.float64)[:, order]
    found = np.empty(shape, kind.held)
    for start in range(0, shape[1], _PANEL):
        end = min(start + _PANEL, shape[1])
        errors = np.empty((shape[0], end - start))
        for at in range(start, end):
            raw = kind.nearest(left[:, at] / scale[:, at] + zero[:, at], least)
            raw = np.where(pins[:, at] > 0, most, np.where(pins[:, at] < 0, least, raw))
            found[:, at] = raw
            lost = left[:, at] - (raw - zero[:, at]) * scale[:, at]
            errors[:, at - start] = lost / upper[at, at]
            left[:, at:end] -= errors[:, at - start, None] * upper[at, at:end]
        left[:, end:] -= errors @ upper[start:end, end:]
    return found[:, back]


def lowest(kind: QuantType, *, symmetric: bool) -> int:
    """Return the least integer in use; symmetric types do without one that has no opposite."""
    return kind.centre - kind.reach if symmetric else kind.qmin


def reconstruct(
    weight: np.ndarray,
    gram: np.ndarray,
    params: Params,
    *,
    symmetric: bool,
    damping: float = 0.01,
    sweeps: int = 20,
) -> tuple[np.ndarray, Params]:
    """Return integers of a matrix [rows, columns] that no change of a single one improves.

    With ``E`` what rounding adds to the weight and ``G`` the damped ``gram`` of ``gptq``, the loss
    of a row is ``e G e^T``. Starting with the integers of ``gptq``, each column in turn takes the
    integer nearest to the minimum of the loss over it, the others fixed: ``e_j - (e G)_j / G_jj``.
    It falls with every step; after ``sweeps`` over all columns, or when none moves, it ends. The
    problem is that of Nagel et al., Up or Down?, 2020, over all integers instead of two. Scales of
    binary numbers, which no extreme fixes, are fitted to the signs after each sweep.
    """
    integers = gptq(weight, gram, params, symmetric=symmetric, damping=damping)
    free = pinned(weight, params, symmetric=symmetric) == 0
    damped = _damped(gram, damping)
    descent = _Descent(weight, integers, damped, params, free)
    least = lowest(params.type, symmetric=symmetric)
    for _ in range(sweeps):
        if params.type is BINARY:
            params = _rescaled(weight, descent.integers, damped, params)
            descent = _Descent(weight, descent.integers, damped, params, free)
        if not descent.sweep(params.type, least):
            break
    return descent.integers, params


def _rescaled(weight: np.ndarray, signs: np.ndarray, gram: np.ndarray, params: Params) -> Params:
    """Return the scales of rows with the least loss for given signs: ``w G s^T / s G s^T``."""
    seen = signs @ gram
    scale = (seen * weight).sum(axis=1) / (seen * signs).sum(axis=1)
    scale = np.where(scale > 0, scale, params.scale).astype(np.float32)
    return dataclasses.replace(params, scale=scale)


class _Descent:
    def __init__(
        self,
        weight: np.ndarray,
        integers: np.ndarray,
        gram: np.ndarray,
        params: Params,
        free: np.ndarray,
    ) -> None:
        spread = params.granularity.spread
        self.integers = integers.copy()
        self._free, self._gram = free, gram
        self._scale = np.broadcast_to(
            spread(params.scale.astype(np.float64), weight.shape), weight.shape
        )
        zero = spread(params.zero_point, weight.shape)
        self._error = (integers - zero) * self._scale - weight
        self._slope = self._error @ gram

    def sweep(self, kind: QuantType, least: int) -> int:
        """Improve every column once; return how many integers changed."""
        changed = 0
        columns = self._error.shape[1]
        for start in range(0, columns, _PANEL):
            end = min(start + _PANEL, columns)
            moved = np.zeros((len(self._error), end - start))
            for at in range(start, end):
                steps = self._steps(at, kind, least)
                self.integers[:, at] += steps
                by = moved[:, at - start] = steps * self._scale[:, at]
                self._slope[:, start:end] += by[:, None] * self._gram[at, start:end]
                changed += int(np.count_nonzero(steps))
            self._error[:, start:end] += moved
            self._slope[:, :start] += moved @ self._gram[start:end, :start]
            self._slope[:, end:] += moved @ self._gram[start:end, end:]
        return changed

    def _steps(self, at: int, kind: QuantType, least: int) -> np.ndarray:
        """Return by how much each integer of a column changes for the least loss."""
        scale, curve = self._scale[:, at], self._gram[at, at]
        old = self.integers[:, at]
        wanted = old - self._slope[:, at] / (curve * scale)
        steps = kind.nearest(wanted, least) - old
        by = steps * scale
        gains = by * (2 * self._slope[:, at] + by * curve) < -1e-12 * curve * scale * scale
        return np.where(gains & self._free[:, at], steps, 0)


def _damped(gram: np.ndarray, damping: float) -> np.ndarray:
    added = damping * float(np.diag(gram).mean()) or 1.0
    return gram + added * np.eye(len(gram))


def inverse_factor(gram: np.ndarray, damping: float) -> np.ndarray:
    """Return U, upper triangular, with ``U^T U`` the inverse of ``gram + damping mean(diag) I``."""
    inverse = np.linalg.inv(_damped(gram, damping))
    return np.linalg.cholesky((inverse + inverse.T) / 2).T
