"""Backward elimination: the units whose loss the others make up for best go first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from onnxopt.pruning.refit import RIDGE

AT_ONCE = 64
"""Of more units than this, several go in each step: one of so many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """One product that reads the units: y = W x.

    The weight is [outputs, columns], the second moments of x, centred where there is a bias, are
    [columns, columns]; ``columns`` [units, k] are the columns that belong to each unit.
    """

    weight: np.ndarray
    gram: np.ndarray
    columns: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Elimination:
    """The order in which units go, and what is lost by then."""

    order: np.ndarray
    """The units that go, first to last."""
    errors: np.ndarray
    """``errors[n]`` is lost with the first n gone, over the variance of the outputs, added up over
    the readers: [removed + 1]."""
    weights: dict[int, list[np.ndarray]]
    """For the numbers of units left that were asked for, the weights of each reader."""


class _State:
    """A reader as it shrinks: its weights and the inverse of its second moments."""

    def __init__(self, reader: Reader, ridge: float) -> None:
        gram = reader.gram.astype(np.float64)
        size = len(gram)
        level = float(np.trace(gram)) / size
        self.columns = reader.columns
        self.weight = reader.weight.astype(np.float64)
        self.inverse = np.linalg.inv(gram + max(ridge * level, 1e-30) * np.eye(size))
        signal = float(np.einsum("oc,cd,od->", self.weight, gram, self.weight, optimize=True))
        self.scale = 1.0 / signal if signal > 0 else 0.0

    def losses(self, units: np.ndarray) -> np.ndarray:
        """Return w (H⁻¹)ᵤᵤ⁻¹ wᵀ of each unit, summed over outputs, over the signal."""
        columns = self.columns[units]
        blocks = self.inverse[columns[:, :, None], columns[:, None, :]]
        weights = self.weight[:, columns].transpose(1, 2, 0)
        return np.asarray(
            (weights * np.linalg.solve(blocks, weights)).sum(axis=(1, 2)) * self.scale
        )

    def remove(self, units: np.ndarray) -> float:
        """Take units out, let the others make up for it; return what is lost."""
        gone = self.columns[units].reshape(-1)
        block = self.inverse[np.ix_(gone, gone)]
        rows = np.linalg.solve(block, self.inverse[gone])
        taken = self.weight[:, gone]
        loss = float((taken.T * np.linalg.solve(block, taken.T)).sum() * self.scale)
        self.weight -= taken @ rows
        self.inverse -= self.inverse[:, gone] @ rows
        return loss

    def weights(self, left: np.ndarray) -> np.ndarray:
        """Return the weights where these units are left; those of others are zero."""
        found = self.weight.copy()
        found[:, np.delete(self.columns, left, axis=0).reshape(-1)] = 0.0
        return found


def eliminate(
    readers: Sequence[Reader],
    least: int,
    keep: Sequence[int] = (),
    *,
    ridge: float = RIDGE,
    rank: np.ndarray | None = None,
    first: np.ndarray | None = None,
) -> Elimination:
    """Take out units until ``least`` are left; the weights for the numbers in ``keep`` are kept.

    Each step takes the units whose removal adds least to the error of all readers' outputs after
    the best compensation by the remaining columns (Hassibi and Stork, Optimal Brain Surgeon, 1993;
    Frantar and Alistarh, Optimal Brain Compression, 2022). Where ``rank`` gives an importance to
    each unit, the order is that one, and compensation the same. Units in ``first``, of which
    nothing is read any more, go before all others.
    """
    states = [_State(reader, ridge) for reader in readers]
    left = np.arange(len(readers[0].columns))
    order: list[int] = [] if first is None else first.tolist()
    if order:
        left = np.setdiff1d(left, order)
        for state in states:
            state.remove(np.array(order))
    errors = [0.0] * (len(order) + 1)
    wanted = set(keep)
    weights = {len(left): [s.weights(left) for s in states]} if len(left) in wanted else {}
    while len(left) > least:
        stop = max([least, *(n for n in wanted if n < len(left))])
        count = min(max(len(left) // AT_ONCE, 1), len(left) - stop)
        scores = rank[left] if rank is not None else sum(state.losses(left) for state in states)
        going = left[np.argsort(scores, kind="stable")[:count]]
        added = sum(state.remove(going) for state in states)
        errors += list(errors[-1] + added * np.arange(1, count + 1) / count)
        order += going.tolist()
        left = np.setdiff1d(left, going)
        if len(left) in wanted:
            weights[len(left)] = [state.weights(left) for state in states]
    return Elimination(order=np.array(order, int), errors=np.array(errors), weights=weights)
