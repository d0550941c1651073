"""Show the values of a model to calibrators, once for all methods that look at the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onnxopt.errors import SampleError
from onnxopt.fingerprint import fingerprint
from onnxopt.quantization.calibrators import Calibrator, Counted, Method
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.sketch import extremes
from onnxopt.quantization.stream import stream, stream_extremes

if TYPE_CHECKING:
    from onnxopt.base import Context
    from onnxopt.samples import Samples


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What a run over samples has shown."""

    calibrators: Mapping[str, Calibrator] = dataclasses.field(default_factory=dict)
    """By value."""
    endless: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What is said of values that were NaN or infinite, and in which sample."""

    def range(self, value: ir.Value) -> Range | None:
        """Return the range of a value; None of one that was not finite, or always empty."""
        name = value.name or ""
        return None if name in self.endless else self.calibrators[name].range()


class LastCalibration:
    """What the last calibration has seen, for others that choose ranges from the same numbers.

    Of one target and one way to run models.
    """

    def __init__(self) -> None:
        self._method = Method()
        self._of: tuple[object, ...] = ()
        self._samples: Samples | None = None
        self._seen: Seen | None = None

    def keep(self, model: ir.Model, samples: Samples | None, method: Method, seen: Seen) -> None:
        """Keep what samples have shown of a model, in place of what was kept before."""
        self._of, self._samples = fingerprint(model), samples
        self._method, self._seen = method, seen

    def give(
        self, model: ir.Model, samples: Samples | None, method: Method, values: Sequence[str]
    ) -> Seen | None:
        """Return what is kept as calibrators of a method; None where that does not tell."""
        kept = self._seen
        if kept is None or samples is not self._samples or not method.told_by(self._method):
            return None
        if not kept.calibrators.keys() >= set(values) or self._of != fingerprint(model):
            return None
        made = {name: method.calibrator(kept.calibrators[name]) for name in values}
        endless = {name: said for name, said in kept.endless.items() if name in made}
        return Seen(calibrators=made, endless=endless)


def calibrate(
    model: ir.Model, values: Sequence[ir.Value], method: Method, context: Context
) -> Seen:
    """Show values of the main graph to calibrators, sample by sample.

    Samples are not run where the context's last calibration tells all. Raises SampleError where an
    input is NaN or infinite.
    """
    names = [value.name or "" for value in values]
    last = context.last_calibration
    known = None if last is None else last.give(model, context.samples, method, names)
    if known is not None:
        return known
    watching = _Watching({value: method.calibrator() for value in values})
    if method.counts:
        stream(model, values, context, watching.look, "calibration")
    else:
        stream_extremes(model, values, context, watching.see, "calibration")
    seen = Seen(
        calibrators={value.name or "": made for value, made in watching.calibrators.items()},
        endless=watching.endless,
    )
    if last is not None:
        last.keep(model, context.samples, method, seen)
    return seen


class _Watching:
    def __init__(self, calibrators: Mapping[ir.Value, Calibrator]) -> None:
        self.calibrators = calibrators
        self.endless: dict[str, str] = {}

    def see(self, value: ir.Value, found: Range | None, sample: str) -> None:
        if found is not None and self._usable(value, found, sample):
            self.calibrators[value].see(found)

    def look(self, value: ir.Value, array: np.ndarray, sample: str) -> None:
        found = extremes(array)
        if found is not None and self._usable(value, found, sample):
            calibrator = self.calibrators[value]
            calibrator.see(found)
            if isinstance(calibrator, Counted):
                calibrator.count(array, found)

    def _usable(self, value: ir.Value, found: Range, sample: str) -> bool:
        name = value.name or ""
        if name in self.endless:
            return False
        if found.finite:
            return True
        nan = math.isnan(found.low) or math.isnan(found.high)
        said = f"'{name}' holds {'NaN' if nan else 'infinity'} in {sample}"
        if value.is_graph_input():
            raise SampleError(f"input {said}; mend the sample or leave it out")
        self.endless[name] = said
        return False
