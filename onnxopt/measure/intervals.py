"""Intervals for medians and paired ratios that were measured in blocks in several processes."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

ALPHA = 0.05
"""The error that a 95 % interval may make."""
FIRST_LOOK_ALPHA, LATER_LOOKS_ALPHA = 0.045, 0.031
"""The error left for the interval itself where a measurement may stop once it is narrow.

Stopping then favours processes that happen to agree, which would cost up to 2.5 points of coverage
at the later looks (Chow and Robbins, 1965; Starr, 1966). Whether to stop depends on how far the
figures scatter and never on which way they point, so nothing else has to be paid for looking.
benchmarks/measuring/coverage.py counts what comes of it.
"""
LOOKS_FROM = 5
"""Processes before the first look, and the least that a measurement starts."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def exp(self) -> Estimate:
        """Return the estimate of the exponential."""
        return Estimate(math.exp(self.value), math.exp(self.low), math.exp(self.high))

    def log(self) -> Estimate:
        """Return the estimate of the logarithm."""
        return Estimate(math.log(self.value), math.log(self.low), math.log(self.high))

    def inverse(self) -> Estimate:
        """Return the estimate of the reciprocal."""
        return Estimate(1 / self.value, 1 / self.high, 1 / self.low)

    @property
    def reach(self) -> float:
        """The largest absolute value that the interval holds."""
        return max(abs(self.low), abs(self.high))


def estimate(*ratios: Sequence[Sequence[float]], looks: bool = False) -> Estimate | None:
    """Estimate the middle of what was measured: a row a process, a number a block.

    Several ``ratios`` are of one model to several references, by the same blocks. Each has a middle
    of its own and the mean of those counts: a ratio of two equal models leans to neither side,
    however skewed their times are, but one to the mean of two models does, and so does its middle.

    A process is one draw of memory layout and clock, so processes are what the interval counts: it
    is Student's, over the middles of their blocks. A disturbed block does not move a middle, and
    the mean of so many runs is close to normal whatever single runs are like. In simulations with
    heavy tails, drift and effects of processes it holds the truth in 95.4 % of cases in the mean,
    93.2 to 98.5 % case by case, from two processes on; it is benchmarks/measuring/coverage.py that
    counts. A bootstrap over processes and blocks held it in 92 to 98 %, and was no narrower from
    five processes on.

    ``looks`` says that the width decided when to stop. Returns None without two blocks in some
    process. One process alone says nothing about others: its interval is the blocks' own.
    """
    together = zip(*ratios, strict=True)
    rows = [np.array(row, dtype=np.float64) for row in together if len(row[0]) >= 2]
    if not rows:
        return None
    if len(rows) == 1:
        blocks = rows[0].mean(axis=0)
        freedom = len(blocks) - 2 * (len(blocks) // 4) - 1
        value = float(middle(rows[0]).mean())
        half = student_quantile(1 - ALPHA / 2, freedom) * _block_error(blocks)
        return Estimate(value, value - half, value + half)
    centres = np.array([float(middle(row).mean()) for row in rows])
    value, half = map(float, over_processes(centres, looks=looks))
    return Estimate(value, value - half, value + half)


def holding(*found: Estimate) -> Estimate:
    """Return the mean of several measurements of one thing, with an interval that holds theirs.

    Measurements minutes apart differ by more than processes of one measurement do, so an interval
    of the mean would be too narrow, and the narrower of two measurements is not the truer one.
    """
    value = sum(each.value for each in found) / len(found)
    return Estimate(value, min(each.low for each in found), max(each.high for each in found))


def over_processes(centres: np.ndarray, *, looks: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over processes, the last axis, and half the width of its interval."""
    count = centres.shape[-1]
    alpha = ALPHA
    if looks:
        alpha = FIRST_LOOK_ALPHA if count <= LOOKS_FROM else LATER_LOOKS_ALPHA
    error = centres.std(axis=-1, ddof=1) / math.sqrt(count)
    return centres.mean(axis=-1), student_quantile(1 - alpha / 2, count - 1) * error


def middle(values: np.ndarray) -> np.ndarray:
    """Return the mean of the middle half along the last axis.

    As deaf to outliers as the median where it matters, and with three quarters of its variance.
    """
    ordered = np.sort(values, axis=-1)
    cut = values.shape[-1] // 4
    centre: np.ndarray = ordered[..., cut : values.shape[-1] - cut].mean(axis=-1)
    return centre


def _block_error(row: np.ndarray) -> float:
    """Return the standard error of a middle, by Tukey and McLaughlin (1963)."""
    ordered = np.sort(row)
    cut = len(row) // 4
    drawn_in = np.clip(row, ordered[cut], ordered[len(row) - cut - 1])
    kept = 1 - 2 * cut / len(row)
    return float(drawn_in.std(ddof=1)) / kept / math.sqrt(len(row))


@functools.cache
def student_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t, by integrating its density over the angle.

    With ``t = sqrt(v) tan a`` the density is ``cos(a)^(v - 1)`` up to a constant.
    """
    freedom = min(freedom, 1e5)
    limit = math.atan(40 / math.sqrt(freedom)) if freedom > 30 else math.pi / 2
    angles = np.linspace(-limit, limit, 20_001)
    density = np.cos(angles) ** (freedom - 1)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = float(np.interp(probability, area / area[-1], angles))
    return math.sqrt(freedom) * math.tan(angle)


def steady(windows: Sequence[float], tolerance: float) -> bool:
    """Say whether the last three windows agree and are no longer falling.

    Each number is the median time of a run in one window. A fall that goes on by less than the
    tolerance a window still shows as the sum over two.
    """
    if len(windows) < 3:
        return False
    first, second, last = (math.log(value) for value in windows[-3:])
    falling = first > second > last and first - last > tolerance / 2
    return max(first, second, last) - min(first, second, last) <= tolerance and not falling
