"""A stream of samples cut in two: some to fit or calibrate on, others to compare on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import onnx_ir as ir

from onnxopt.base import Evaluate
from onnxopt.errors import ModelError
from onnxopt.feeds import random_samples
from onnxopt.samples import Sample, Samples
from onnxopt.target import Feeds


class Shares(NamedTuple):
    """How a stream is cut."""

    every: int
    """One sample of so many is held back."""
    most: int | None = None
    """About so many are held back at most, evenly apart."""
    fitted: int | None = None
    """So many are fitted on at most, evenly apart; the rest is held back, too."""
    made_up: int = 16
    """Samples that are made up where there are none."""

    def given_for(self, held: int) -> int:
        """Return about how many samples there must be for so many of them to be held back."""
        fitted = (self.every - 1) * held
        return held + (fitted if self.fitted is None else min(fitted, self.fitted))


CALIBRATING = Shares(every=4, fitted=300)
"""How quantizing cuts what it is given: ranges gain little by more, and a metric does."""


class Split:
    """A stream cut in two; the samples held back lie evenly apart, and a single one is in both."""

    def __init__(self, samples: Samples, shares: Shares) -> None:
        self._samples = samples
        self.count = samples.count if samples.count is not None else sum(1 for _ in samples)
        if not self.count:
            raise ModelError("there are no samples; check the path of the samples")
        every = max(shares.every, self.count // shares.most if shares.most else 0)
        self._offset, self._part, self._of = every - 1, every - 1, every
        if shares.fitted is not None and self.fitted > shares.fitted:
            self._part, self._of = shares.fitted, self.count

    @classmethod
    def of(
        cls,
        given: Path | Samples | None,
        model: ir.Model,
        evaluate: Evaluate,
        shares: Shares,
        *,
        seed: int,
    ) -> Split:
        """Cut the samples given, or made-up ones.

        Raises ModelError where there are none, or they do not fit the model's inputs.
        """
        if isinstance(given, Samples):
            return cls(given, shares)
        if given is None:
            made = random_samples(model, seed=seed, count=shares.made_up, evaluate=evaluate)
            return cls(made, shares)
        inputs = [value for value in model.graph.inputs if not value.is_initializer()]
        return cls(Samples.from_path(given, inputs), shares)

    @property
    def single(self) -> bool:
        """Whether the same sample serves for both."""
        return self.count == 1

    @property
    def fitted(self) -> int:
        """How many samples are not held back."""
        return self._before(self.count)

    def fitting(self) -> Samples:
        """Return what to fit or calibrate on."""

        def read() -> Iterator[Sample]:
            for at, sample in enumerate(self._samples.labelled()):
                if self._fits(at):
                    yield Sample(sample.feeds, name=sample.name or f"sample {at + 1}")

        return Samples(read, self.fitted)

    def compared(self) -> Samples:
        """Return what is held back, with labels where there are any."""

        def read() -> Iterator[Sample]:
            for at, sample in enumerate(self._samples.labelled()):
                if self.single or not self._fits(at):
                    yield sample

        return Samples(read)

    def _before(self, at: int) -> int:
        """Return how many of the first ``at`` samples are fitted on."""
        start = self._offset * self._part
        return (start + at * self._part) // self._of - start // self._of

    def _fits(self, at: int) -> bool:
        return self._before(at + 1) > self._before(at)

    def every(self) -> Samples:
        """Return all of them, with labels where there are any."""
        return self._samples

    def held(self, most: int | None = None) -> list[Feeds]:
        """Return the feeds of the first ``most`` samples that are held back, or of all."""
        return list(itertools.islice(self.compared(), most))
