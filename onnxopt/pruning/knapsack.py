"""The cheapest choice of one option for each group under a common budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CELLS = 4000
"""Steps into which the range of what can be saved is divided."""


class Option(NamedTuple):
    """What an option costs in accuracy, and what it saves of the budget."""

    cost: float
    saving: float


def knapsack(groups: Sequence[Sequence[Option]], wanted: float) -> list[int] | None:
    """Choose an option of every group: least total cost with total savings of at least ``wanted``.

    Dynamic programming over savings in ``CELLS`` steps, each option's rounded down, so that the
    sum is never less than asked. Returns the indices; None where no choice saves enough.
    """
    if wanted <= 0:
        return [min(range(len(g)), key=lambda at: (g[at].cost, -g[at].saving)) for g in groups]
    cell = wanted / CELLS
    best = np.full(CELLS + 1, math.inf)
    best[0] = 0.0
    taken = np.zeros((len(groups), CELLS + 1), np.int64)
    origin = np.zeros((len(groups), CELLS + 1), np.int64)
    for row, group in enumerate(groups):
        following = np.full(CELLS + 1, math.inf)
        for at, option in enumerate(group):
            source = _sources(best, min(math.floor(option.saving / cell + 1e-9), CELLS))
            costs = np.where(source >= 0, best[source], math.inf) + option.cost
            better = costs < following
            following[better] = costs[better]
            taken[row, better], origin[row, better] = at, source[better]
        best = following
    if not math.isfinite(best[CELLS]):
        return None
    chosen, at = [], CELLS
    for row in reversed(range(len(groups))):
        chosen.append(int(taken[row, at]))
        at = int(origin[row, at])
    return chosen[::-1]


def _sources(best: np.ndarray, steps: int) -> np.ndarray:
    """Return from which cell each is reached by saving so much more; -1 for none.

    What is saved beyond the last cell counts as the last, which has the cheapest of its sources.
    """
    found = np.arange(len(best)) - max(steps, 0)
    if steps > 0:
        first = len(best) - 1 - steps
        found[-1] = first + int(np.argmin(best[first:]))
    return np.maximum(found, -1)
