"""A budget on accuracy: a metric on samples that were held back, and how far it may fall."""

from __future__ import annotations

import dataclasses

import onnx_ir as ir

from onnxopt.base import Load
from onnxopt.comparison.metrics import Metric, agreement, fitting
from onnxopt.comparison.named import metric_of
from onnxopt.comparison.scores import Change, Scores
from onnxopt.errors import BackendError, UsageError
from onnxopt.samples import Samples
from onnxopt.target import Session


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How far a metric may fall."""

    drop: float
    """Half a point of a share is 0.005; other metrics have their own unit."""
    metric: Metric | None = None
    """None takes what suits the labels, or agreement with the float model without labels."""


def budget_of(drop: float | None, metric: str | None) -> Budget | None:
    """Return the budget that is asked for; UsageError for an unknown metric, or one alone."""
    if drop is None and metric is not None:
        raise UsageError(f"the metric '{metric}' without a bound on its drop: give --max-drop too")
    if drop is None:
        return None
    return Budget(drop=drop, metric=None if metric is None else metric_of(metric))


class Judge:
    """Scores models against the float one on the same samples."""

    def __init__(self, budget: Budget, plain: Session, samples: Samples, load: Load) -> None:
        self._plain, self._samples, self._load = plain, samples, load
        self.most = budget.drop
        self.metric = budget.metric or self._fitting()

    def _fitting(self) -> Metric:
        sample = next(iter(self._samples.labelled()), None)
        if sample is None:
            raise UsageError("a budget on accuracy needs samples: pass --samples")
        outputs = self._plain.run(sample.feeds)
        found = () if sample.label is None else fitting(outputs, sample.label)
        return found[0] if found else agreement()

    def change(self, model: ir.Model) -> Change | None:
        """Return the metric of both models; None where the target does not run this one.

        Raises ModelError where outputs or labels do not fit the metric.
        """
        scores = Scores(self.metric)
        try:
            with self._load(model) as session:
                for feeds, label, _ in self._samples.labelled():
                    scores.add(self._plain.run(feeds), session.run(feeds), label)
        except BackendError:
            return None
        return scores.change()
