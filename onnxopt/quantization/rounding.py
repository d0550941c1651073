"""Integers for weights that change least what a layer computes."""

from __future__ import annotations

import numpy as np

from onnxopt.quantization.granularity import Granularity, PerAxis, PerBlock
from onnxopt.quantization.params import Params, fit, rounded
from onnxopt.quantization.types import QuantType

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
    ranges tried are shares of what the weights of a part span: 1, 0.95, … 0.5.
    """
    granularity = per_row(block)
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
    low, high = (granularity.spread(end, shape) for end in granularity.extents(weight))
    pins: np.ndarray = (weight == high).astype(np.int8) - (weight == low).astype(np.int8)
    return pins * (np.abs(weight) == np.maximum(high, -low)) if symmetric else pins


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
    least, most = (kind.centre - kind.reach if symmetric else kind.qmin), kind.qmax
    left = weight.astype(np.float64)[:, order]
    found = np.empty(shape, np.int32)
    for start in range(0, shape[1], _PANEL):
        end = min(start + _PANEL, shape[1])
        errors = np.empty((shape[0], end - start))
        for at in range(start, end):
            raw = np.clip(np.rint(left[:, at] / scale[:, at]) + zero[:, at], least, most)
            raw = np.where(pins[:, at] > 0, most, np.where(pins[:, at] < 0, least, raw))
            found[:, at] = raw
            lost = left[:, at] - (raw - zero[:, at]) * scale[:, at]
            errors[:, at - start] = lost / upper[at, at]
            left[:, at:end] -= errors[:, at - start, None] * upper[at, at:end]
        left[:, end:] -= errors @ upper[start:end, end:]
    return found[:, back]


def inverse_factor(gram: np.ndarray, damping: float) -> np.ndarray:
    """Return U, upper triangular, with ``U^T U`` the inverse of ``gram + damping mean(diag) I``."""
    diagonal = np.diag(gram)
    added = damping * float(diagonal.mean()) or 1.0
    inverse = np.linalg.inv(gram + added * np.eye(len(gram)))
    return np.linalg.cholesky((inverse + inverse.T) / 2).T
