"""Samples in batches, where the model takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.samples import Sample, Samples
from onnxopt.target import Feeds

BATCH = 50
"""Entries that are run together."""


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
