"""Samples to fit on, in batches where the model takes them, and others to compare on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Evaluate
from onnxopt.errors import ModelError
from onnxopt.feeds import random_samples
from onnxopt.samples import Sample, Samples
from onnxopt.target import Feeds

BATCH = 50
"""Entries that are run together."""
FEWEST_FITTED = 8
"""One sample of so many is held back at most."""
MOST_HELD = 64
RANDOM = 128
"""Made-up samples where there are no others."""


def batched(samples: Samples, model: ir.Model) -> Samples:
    """Join neighbouring samples along the first axis where all inputs and outputs leave it open.

    The model must call it by one name everywhere; samples of other shapes begin a new batch.
    """
    if not _open(model):
        return samples

    def read() -> Iterator[Sample]:
        held: list[Feeds] = []
        for feeds in samples:
            if held and (_shapes(feeds) != _shapes(held[0]) or _entries(held) >= BATCH):
                yield Sample(_joined(held))
                held = []
            held.append(feeds)
        if held:
            yield Sample(_joined(held))

    return Samples(read)


def entries(feeds: Feeds, model: ir.Model) -> int:
    """Return how many independent entries a sample holds, as far as the model tells."""
    return _entries([feeds]) if _open(model) else 1


def _open(model: ir.Model) -> bool:
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    values = [*inputs, *model.graph.outputs]
    firsts = {(graph.dims(value) or (None,))[0] for value in values}
    return len(firsts) == 1 and isinstance(next(iter(firsts)), str)


def _shapes(feeds: Feeds) -> dict[str, tuple[int, ...]]:
    return {name: array.shape[1:] for name, array in feeds.items()}


def _entries(held: Sequence[Feeds]) -> int:
    return sum(max((len(array) for array in feeds.values()), default=0) for feeds in held)


def _joined(held: Sequence[Feeds]) -> Feeds:
    return {name: np.concatenate([feeds[name] for feeds in held]) for name in held[0]}


class Division:
    """A stream cut in two: some samples, evenly apart, to compare on, the others to fit on."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self.count = samples.count if samples.count is not None else sum(1 for _ in samples)
        if not self.count:
            raise ModelError("there are no samples; check the path of the samples")
        self._every = max(FEWEST_FITTED, self.count // MOST_HELD)

    @property
    def fitted(self) -> int:
        """How many samples are fitted on; a single one serves for both."""
        return max(self.count - len(range(1, self.count, self._every)), 1)

    def fitting(self) -> Samples:
        """Return what to fit on."""

        def read() -> Iterator[Sample]:
            for at, feeds in enumerate(self._samples):
                if at % self._every != 1:
                    yield Sample(feeds)

        return Samples(read, self.fitted)

    def compared(self) -> Samples:
        """Return what to compare on, with labels where there are any."""
        start = 0 if self.count == 1 else 1
        return Samples(lambda: itertools.islice(self._samples.labelled(), start, None, self._every))

    def held(self) -> list[Feeds]:
        """Return the feeds to compare on."""
        return list(self.compared())


def division_of(
    given: Path | Samples | None, model: ir.Model, evaluate: Evaluate, seed: int
) -> Division:
    """Return the samples given, or made-up ones."""
    if isinstance(given, Samples):
        return Division(given)
    if given is None:
        return Division(random_samples(model, seed=seed, count=RANDOM, evaluate=evaluate))
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    return Division(Samples.from_path(given, inputs))
