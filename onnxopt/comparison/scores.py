"""A metric of two models over a stream of samples, and whether the change is more than chance."""

from __future__ import annotations

import dataclasses

import numpy as np

from onnxopt.comparison.intervals import bootstrap, mcnemar, paired_shares, wilson
from onnxopt.comparison.metrics import Kind, Metric
from onnxopt.errors import ModelError
from onnxopt.measure.intervals import ALPHA, Estimate
from onnxopt.target import Outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A metric of both models. Shares are from 0 to 1."""

    name: str
    kind: Kind
    higher_is_better: bool
    before: float
    after: float
    change: Estimate | None
    """``after - before`` with its 95 % interval; None where one unit says nothing about others."""
    units: int
    lost: int = 0
    """Units that only the first model gets right."""
    won: int = 0
    """Units that only the second model gets right."""
    chance: float | None = None
    """McNemar's probability of so uneven a split of those by chance."""

    @property
    def drop(self) -> float:
        """How much worse it has become; negative where it is better."""
        fall = self.before - self.after
        return fall if self.higher_is_better else -fall

    @property
    def within_noise(self) -> bool:
        """Whether the interval holds no change at all, or McNemar's test may be chance."""
        held = self.change is None or self.change.low <= 0 <= self.change.high
        return held or (self.chance is not None and self.chance > ALPHA)


class Scores:
    """Scores of both models on the same samples; keeps three numbers a unit, no outputs."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._rows: list[np.ndarray] = []

    def add(self, first: Outputs, second: Outputs, label: np.ndarray | None) -> None:
        """Score one sample. Raises ModelError where label and outputs do not fit."""
        metric = self.metric
        try:
            label = metric.label(first, label)
            one, two = metric.score(first, label), metric.score(second, label)
        except ModelError as error:
            nth = len(self._rows) + 1
            raise ModelError(f"sample {nth} of those that {metric.name} scores: {error}") from error
        if one.shape != two.shape:
            raise ModelError(f"{metric.name}: the outputs of the two models have other shapes")
        self._rows.append(np.stack([one[:, 0], two[:, 0], one[:, 1]], axis=-1))

    def change(self, seed: int = 0) -> Change | None:
        """Return the metric of both and the change; None where nothing was scored."""
        rows = np.concatenate(self._rows) if self._rows else np.empty((0, 3))
        rows = rows[rows[:, 2] > 0]
        if not len(rows):
            return None
        metric, total = self.metric, rows.sum(axis=0)
        found = Change(
            name=metric.name,
            kind=metric.kind,
            higher_is_better=metric.higher_is_better,
            before=metric.value(total[0], total[2]),
            after=metric.value(total[1], total[2]),
            change=None,
            units=len(rows),
        )
        if metric.kind is Kind.SHARE and bool(np.all(rows[:, 2] == 1)):
            return _shares(found, rows, metric)
        exponential = metric.kind is Kind.EXPONENTIAL
        change = bootstrap(rows, exponential=exponential, seed=seed)
        return dataclasses.replace(found, change=change)


def _shares(found: Change, rows: np.ndarray, metric: Metric) -> Change:
    lost = int(np.count_nonzero(rows[:, 0] > rows[:, 1]))
    won = int(np.count_nonzero(rows[:, 1] > rows[:, 0]))
    if metric.against_first:
        share = wilson(len(rows) - lost, len(rows))
        change = Estimate(share.value - 1, share.low - 1, share.high - 1)
        return dataclasses.replace(found, change=change, lost=lost)
    return dataclasses.replace(
        found,
        change=paired_shares(lost, won, len(rows)),
        lost=lost,
        won=won,
        chance=mcnemar(lost, won),
    )
