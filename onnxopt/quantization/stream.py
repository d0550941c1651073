"""Run a model over samples and show each wanted value to whoever looks at it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context
from onnxopt.errors import ModelError, UsageError
from onnxopt.quantization.calibrators import Calibrator
from onnxopt.quantization.sketch import extremes

Look = Callable[[ir.Value, np.ndarray, int], None]
"""Takes a value, what it is for a sample, and the number of the sample, from 0 on."""


def stream(
    model: ir.Model, values: Sequence[ir.Value], context: Context, look: Look, what: str
) -> int:
    """Show some values of the main graph for every sample; return how many samples there were.

    One sample's values are in memory at a time. ``what`` is what progress calls it. Raises
    UsageError without samples, ModelError for samples that the model does not take.
    """
    if context.samples is None:
        raise UsageError(f"{what} needs samples: pass a folder or a file of them")
    given = [value for value in values if value.is_graph_input()]
    computed = [value for value in values if not value.is_graph_input()]
    seen = 0
    with context.open(model, computed) if computed else contextlib.nullcontext() as session:
        for feeds in context.samples:
            context.progress(what, seen, context.samples.count)
            for value in given:
                if value.name is not None and value.name in feeds:
                    look(value, feeds[value.name], seen)
            found = session.run(feeds) if session is not None else {}
            for value in computed:
                look(value, found.pop(value.name or ""), seen)
            seen += 1
    if not seen:
        raise ModelError(f"{what}: there are no samples; check the path of the samples")
    return seen


def calibrate(
    model: ir.Model, calibrators: Mapping[ir.Value, Calibrator], context: Context
) -> dict[ir.Value, str]:
    """Show values of the main graph to their calibrators, sample by sample.

    Returns the values that were NaN or infinite, which have no range, and says for which sample.
    Raises ModelError where an input is.
    """
    endless: dict[ir.Value, str] = {}

    def look(value: ir.Value, array: np.ndarray, sample: int) -> None:
        found = extremes(array)
        if found is None or value in endless:
            return
        if math.isfinite(found.low) and math.isfinite(found.high):
            calibrators[value].add(array, found)
            return
        nan = math.isnan(found.low) or math.isnan(found.high)
        said = f"'{value.name}' holds {'NaN' if nan else 'infinity'} for sample {sample + 1}"
        if value.is_graph_input():
            raise ModelError(f"input {said}; mend the sample or leave it out")
        endless[value] = said

    stream(model, list(calibrators), context, look, "calibration")
    return endless
