"""The samples of a deployment: what is calibrated on, scored on and measured on."""

from __future__ import annotations

from pathlib import Path

from onnxopt import io, lossless
from onnxopt.comparison.named import metric_of
from onnxopt.deployer.request import Request
from onnxopt.errors import UsageError
from onnxopt.measure import MAX_FEEDS
from onnxopt.measure.models import feeds_of
from onnxopt.quantizer.judge import Budget
from onnxopt.quantizer.schemes import scheme_of
from onnxopt.samples import Samples
from onnxopt.samples import check as check_path
from onnxopt.split import CALIBRATING, Split
from onnxopt.target import Feeds


def check(asked: Request) -> None:
    """Raise ModelError where there are no samples at a path, UsageError for an unknown name.

    That is one of a metric, or of a scheme.
    """
    if isinstance(asked.samples, Path):
        check_path(asked.samples)
    for metric in asked.metrics:
        metric_of(metric)
    if asked.scheme is not None:
        scheme_of(asked.scheme)
    if asked.scheme is not None and not asked.quantize:
        raise UsageError(f"--scheme {asked.scheme} says how to quantize: leave --no-quantize out")


class Held:
    """Samples, divided as quantizing divides them, for a model that is a file."""

    def __init__(
        self, samples: Path | Samples | None, model: Path, metrics: tuple[str, ...], seed: int
    ) -> None:
        self.samples, self._model, self._metrics, self._seed = samples, model, metrics, seed

    def check(self) -> None:
        """Read the first sample: ModelError where it does not fit the model."""
        if self.samples is not None:
            next(iter(self._split().fitting()), None)

    @property
    def single(self) -> bool:
        """Whether what is scored on is calibrated on too, for there is but one sample."""
        return self.samples is not None and self._split().single

    def judged(self, *, calibrated: bool) -> Samples | None:
        """Return the samples to score what was quantized, with their labels.

        All of them where nothing was ``calibrated``, otherwise those that quantizing holds back.
        """
        if self.samples is None:
            return None
        split = self._split()
        return split.compared() if calibrated else split.every()

    def feeds(self) -> list[Feeds]:
        """Return those that ``bench`` would measure on; nothing where there are none."""
        if isinstance(self.samples, Path):
            return feeds_of(self.samples, self._model)
        return [] if self.samples is None else list(self.samples.first(MAX_FEEDS))

    @property
    def labelled(self) -> bool:
        """Whether the first sample has a label."""
        judged = self.judged(calibrated=True)
        first = None if judged is None else next(iter(judged.labelled()), None)
        return first is not None and first.label is not None

    def budget(self, drop: float) -> Budget | None:
        """Return how far the metric may fall; None without labels, unless a metric is named."""
        if self.samples is None or not (self._metrics or self.labelled):
            return None
        return Budget(drop=drop, metric=metric_of(self._metrics[0]) if self._metrics else None)

    def _split(self) -> Split:
        model = io.load(self._model)
        return Split.of(self.samples, model, lossless.reference(), CALIBRATING, seed=self._seed)
