"""Run a model over samples and show each wanted value to whoever looks at it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context
from onnxopt.errors import SampleError, UsageError
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.reductions import Reductions
from onnxopt.quantization.sketch import extremes
from onnxopt.target import Feeds

if TYPE_CHECKING:
    from onnxopt.samples import Samples

Look = Callable[[ir.Value, np.ndarray, str], None]
"""Takes a value, what it is for a sample, and what the sample is called."""

See = Callable[[ir.Value, Range | None, str], None]
"""Takes a value, its extremes for a sample, and what the sample is called.

Extremes are None where the value is empty, NaN where any of its numbers is."""


def stream(
    model: ir.Model, values: Sequence[ir.Value], context: Context, look: Look, what: str
) -> None:
    """Show some values of the main graph for every sample.

    One sample's values are in memory at a time. ``what`` is what progress calls it. Raises
    UsageError without samples, ModelError for samples that the model does not take.
    """
    samples, (given, computed) = _samples(context, what), _parted(values)
    with context.open(model, computed) if computed else contextlib.nullcontext() as session:
        for name, feeds in samples:
            for value in given:
                if value.name is not None and value.name in feeds:
                    look(value, feeds[value.name], name)
            found = session.run(feeds) if session is not None else {}
            for value in computed:
                look(value, found.pop(value.name or ""), name)


def stream_extremes(
    model: ir.Model, values: Sequence[ir.Value], context: Context, see: See, what: str
) -> None:
    """Show the extremes of some values of the main graph for every sample.

    The runtime finds them, so that the values themselves need not leave it. Raises what ``stream``
    does.
    """
    samples, (given, computed) = _samples(context, what), _parted(values)
    with contextlib.closing(Reductions(model, computed, context)) as reductions:
        for name, feeds in samples:
            for value in given:
                if value.name is not None and value.name in feeds:
                    see(value, extremes(feeds[value.name]), name)
            for value, found in reductions.of(feeds):
                see(value, found, name)


def _parted(values: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    """Return the values that are inputs of the model, and those that it computes."""
    given = [value for value in values if value.is_graph_input()]
    return given, [value for value in values if not value.is_graph_input()]


def _samples(context: Context, what: str) -> Iterator[tuple[str, Feeds]]:
    """Return the samples with their names: file, or number from 1 on."""
    if context.samples is None:
        raise UsageError(f"{what} needs samples: pass a folder or a file of them")
    return _counted(context.samples, context, what)


def _counted(samples: Samples, context: Context, what: str) -> Iterator[tuple[str, Feeds]]:
    seen = 0
    for sample in samples.labelled():
        context.progress(what, seen, samples.count)
        yield sample.name or f"sample {seen + 1}", sample.feeds
        seen += 1
    if not seen:
        raise SampleError(f"{what}: there are no samples; check the path of the samples")
