"""Samples to calibrate on, and others to compare on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from onnxopt.base import Evaluate
from onnxopt.errors import ModelError
from onnxopt.feeds import random_samples
from onnxopt.samples import Sample, Samples
from onnxopt.target import Feeds

EVERY = 4
"""One sample of so many is held back."""
MOST_HELD = 24
RANDOM = 16


class Split:
    """A stream cut in two: three samples of four to calibrate on, the fourth to compare on."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self.count = samples.count if samples.count is not None else sum(1 for _ in samples)
        if not self.count:
            raise ModelError("there are no samples; check the path of the samples")

    @property
    def single(self) -> bool:
        """Whether the same sample serves for both."""
        return self.count == 1

    def calibration(self) -> Samples:
        """Return what to calibrate on."""

        def read() -> Iterator[Sample]:
            for at, feeds in enumerate(self._samples):
                if self.single or at % EVERY != 1:
                    yield Sample(feeds)

        held = 0 if self.single else (self.count + EVERY - 2) // EVERY
        return Samples(read, self.count - held)

    def judged(self) -> Samples:
        """Return all that is held back, with its labels."""

        def read() -> Iterator[Sample]:
            for at, sample in enumerate(self._samples.labelled()):
                if self.single or at % EVERY == 1:
                    yield sample

        return Samples(read)

    def held(self) -> list[Feeds]:
        """Return at most 24 samples to compare on."""
        start = 0 if self.single else 1
        return list(itertools.islice(self._samples, start, MOST_HELD * EVERY, EVERY))


def split_of(given: Path | Samples | None, model: ir.Model, evaluate: Evaluate, seed: int) -> Split:
    """Return the samples given, or made-up ones."""
    if isinstance(given, Samples):
        return Split(given)
    if given is None:
        return Split(random_samples(model, seed=seed, count=RANDOM, evaluate=evaluate))
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    return Split(Samples.from_path(given, inputs))
