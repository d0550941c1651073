"""Is a change of a metric more than chance: intervals for paired scores.

Both models are scored on the same units (images, sequences), so differences are paired.
"""

from __future__ import annotations

import math

import numpy as np

from onnxopt.measure.intervals import ALPHA, Estimate, student_quantile

_Z = 1.959963984540054
"""Half-width of the 95 % interval of a standard normal variable."""

LEAST_UNITS = 8
"""Units below which nothing is said of chance."""

_RESAMPLES = 4000
_DRAWS = 1 << 22
"""Random numbers that are held at one time."""


def wilson(hits: int, total: int) -> Estimate:
    """Estimate a share from so many hits; ``total`` is positive.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    share = hits / total
    spread = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    centre, width = share + _Z**2 / (2 * total), 1 + _Z**2 / total
    low, high = (centre - spread) / width, (centre + spread) / width
    return Estimate(share, max(0.0, low), min(1.0, high))


def paired_shares(lost: int, won: int, total: int) -> Estimate:
    """Estimate the change of a share: ``lost`` of ``total`` units went from hit to miss.

    Half a unit is added to each of the four cells: Agresti and Min, "Simple improved confidence
    intervals for comparing matched proportions", 2005. So that no discordant unit among few does
    not mean that there is no doubt.
    """
    size = total + 2
    change = (won - lost) / size
    spread = _Z * math.sqrt(lost + won + 1 - (won - lost) ** 2 / size) / size
    return Estimate((won - lost) / total, max(-1.0, change - spread), min(1.0, change + spread))


def mcnemar(lost: int, won: int) -> float:
    """Return the probability of so uneven a split among units that changed, if it were chance.

    Exact and two-sided: McNemar, "Note on the sampling error of the difference between correlated
    proportions or percentages", 1947, by the binomial distribution.
    """
    total = lost + won
    if not total:
        return 1.0
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        for k in range(min(lost, won) + 1)
    ]
    tail = math.fsum(math.exp(log - total * math.log(2)) for log in logs)
    return min(1.0, 2 * tail)


def bootstrap(scores: np.ndarray, *, exponential: bool, seed: int) -> Estimate | None:
    """Estimate the change of a mean, or of its exponential, by resampling units in pairs.

    ``scores`` is [units, 3]: the sum of the first model's scores in the unit, that of the second's,
    and over how many they are. Percentile interval (Efron, "Bootstrap methods", 1979), widened as
    Student's is for few units (Hesterberg, "What teachers should know about the bootstrap", 2015);
    None for fewer than eight, of which no percentile tells enough, and where one is no number.
    """
    count = len(scores)
    if count < LEAST_UNITS or not np.isfinite(scores).all():
        return None
    rng = np.random.default_rng(seed)
    rows = max(1, _DRAWS // len(scores))
    changes = np.concatenate(
        [
            _change(_resampled(scores, min(rows, _RESAMPLES - start), rng), exponential)
            for start in range(0, _RESAMPLES, rows)
        ]
    )
    tail = ALPHA / 2
    low, high = np.quantile(changes, (tail, 1 - tail))
    value = float(_change(scores.sum(axis=0, keepdims=True), exponential)[0])
    wider = student_quantile(1 - tail, count - 1) / _Z * math.sqrt(count / (count - 1))
    return Estimate(
        value, value - wider * (value - float(low)), value + wider * (float(high) - value)
    )


def _resampled(scores: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw units with repetition, ``count`` times; return the sums: [count, 3]."""
    drawn = rng.integers(len(scores), size=(count, len(scores)))
    return np.stack([scores[:, column][drawn].sum(axis=1) for column in range(3)], axis=1)


def _change(sums: np.ndarray, exponential: bool) -> np.ndarray:
    means = sums[:, :2] / np.maximum(sums[:, 2:], 1e-300)
    if exponential:
        means = np.exp(np.minimum(means, 700.0))
    change: np.ndarray = means[:, 1] - means[:, 0]
    return change
