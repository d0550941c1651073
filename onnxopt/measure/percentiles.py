"""Percentiles of single runs, only where there are enough of them, with intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from onnxopt.measure.intervals import student_quantile

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)
_TAIL = 0.025
_MOST = 200_000
"""Runs beyond which a binomial's quantiles are asked for no more of them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Percentile:
    """The time in seconds that a share of all runs stays below, with its 95 % interval."""

    share: float
    value: float
    low: float
    high: float

    @property
    def name(self) -> str:
        """``p90``."""
        return share_name(self.share)


def share_name(share: float) -> str:
    """Return a share as a percentile's name: 0.999 is ``p99.9``."""
    return f"p{100 * share:g}"


def least(share: float) -> int:
    """Return how many independent runs a percentile needs for an interval between two of them.

    The probability that all runs lie on one side of it has to stay below 2.5 % at either end.
    """
    return math.ceil(math.log(_TAIL) / math.log(max(share, 1 - share)))


def percentiles(processes: Sequence[Sequence[Sequence[float]]]) -> tuple[Percentile, ...]:
    """Return the percentiles that the runs support: ``processes[p][b]`` are a block's times.

    Where each of several processes has runs enough for a percentile of its own, it is the mean of
    theirs (of logarithms), with Student's interval over processes. Otherwise it is that of all runs
    together, and the interval lies between two runs of the ordered sample, whose ranks the binomial
    distribution gives (David and Nagaraja, Order Statistics, 2003, 7.1). There, runs of one block
    or process count as fewer, being alike: as many independent ones as would make the share below
    the percentile scatter as much as it does between blocks and processes (Woodruff, 1952).
    """
    kept = [[np.asarray(block) for block in process if len(block)] for process in processes]
    kept = [process for process in kept if process]
    found: list[Percentile] = []
    for share in SHARES if kept else ():
        percentile = _of_each(kept, share) or _of_all(kept, share)
        if percentile is None:
            break  # where one cannot be told, those further out cannot either
        found.append(percentile)
    return tuple(found)


def _of_each(processes: Sequence[Sequence[np.ndarray]], share: float) -> Percentile | None:
    runs = [np.concatenate(process) for process in processes]
    if len(runs) < 2 or min(map(len, runs)) < least(share):
        return None
    logs = np.log([np.quantile(times, share) for times in runs])
    half = student_quantile(1 - _TAIL, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    low, value, high = (math.exp(logs.mean() + shift) for shift in (-half, 0.0, half))
    return Percentile(share=share, value=value, low=low, high=high)


def _of_all(processes: Sequence[Sequence[np.ndarray]], share: float) -> Percentile | None:
    blocks = [block for process in processes for block in process]
    owners = [at for at, process in enumerate(processes) for _ in process]
    times = np.sort(np.concatenate(blocks))
    value = float(np.quantile(times, share))
    count = min(_independent(value, blocks, owners), _MOST)
    if count < least(share):
        return None
    first, last = (rank * len(times) for rank in _ranks(count, share))
    low, high = times[math.floor(first + 1e-9)], times[math.ceil(last - 1e-9) - 1]
    return Percentile(share=share, value=value, low=float(low), high=float(high))


def _independent(value: float, blocks: Sequence[np.ndarray], owners: Sequence[int]) -> int:
    """Return how many independent runs tell as much about a percentile as these do.

    What processes scatter beyond their blocks is known from few processes only and so counts for
    more, by Student's t.
    """
    sizes = np.array([len(block) for block in blocks], dtype=np.float64)
    below = np.array([float((block <= value).sum()) for block in blocks])
    total, found = sizes.sum(), below.sum() / sizes.sum()
    excess = below - found * sizes
    sums = np.bincount(owners, excess)
    scatter = max(float((excess**2).sum()), total * found * (1 - found))
    if len(sums) > 1:
        freedom = len(sums) - 1
        between = float((sums**2).sum()) * len(sums) / freedom - scatter
        wider = student_quantile(1 - _TAIL, freedom) / student_quantile(1 - _TAIL, math.inf)
        scatter += max(between, 0.0) * wider**2
    return int(found * (1 - found) * total**2 / scatter + 1e-9) if scatter else int(total)


def _ranks(count: int, share: float) -> tuple[float, float]:
    """Return how much of the ordered sample lies before the interval, and up to its end."""
    numbers = np.arange(1, count + 1)
    steps = np.log((count - numbers + 1) / numbers) + math.log(share / (1 - share))
    logs = count * math.log1p(-share) + np.concatenate([[0.0], np.cumsum(steps)])
    below = np.cumsum(np.exp(logs))  # below[k]: at most k runs lie under the percentile
    low = int(np.searchsorted(below, _TAIL, side="right"))
    high = int(np.searchsorted(below, 1 - _TAIL, side="left")) + 1
    return (low - 1) / count, min(high, count) / count
