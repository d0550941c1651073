"""Find the ranges of activations on samples, and keep them in the model."""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.errors import UsageError
from onnxopt.passes.quantize import _values
from onnxopt.passes.quantize._plan import read_by
from onnxopt.quantization import ranges
from onnxopt.quantization.calibration import Seen, calibrate
from onnxopt.quantization.calibrators import Method, Name
from onnxopt.spec import nearest

_NONE = (
    "the target computes no layer on integers (weights must be constant, and not inputs that "
    "callers may override)"
)


class Calibrate(Pass):
    """Run the model on samples and write on each value the range of numbers to keep exact.

    Ranges are metadata of the values of the main graph, so a calibrated model can be kept and
    quantized several times. Memory is that of one inference that returns the values, and 128 kB a
    value for ``percentile``, ``entropy`` and ``mse``, whatever the number of samples.
    """

    needs_samples: ClassVar[bool] = True

    method: Name = "minmax"
    percentile: float = 99.99
    """The percentage of a value's numbers that ``percentile`` keeps."""
    momentum: float = 0.01
    """The weight of the newest sample in a ``moving-average``."""
    bits: int = 8
    """Of the type to quantize to, for ``entropy`` and ``mse``."""
    symmetric: bool = False
    """Whether the type's zero point is in its centre, for ``entropy`` and ``mse``."""
    elements: int = 1 << 15
    """How many of a value's elements in a sample are counted, spread evenly; 0 is all."""
    values: tuple[str, ...] = ()
    """Names of values; where there are none, those that the target's integer kernels read or make,
    and all for a target without such kernels."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Calibrate and count the ranges that are new or others than before."""
        wanted = self._wanted(model, context)
        method = Method(
            name=self.method,
            percentile=self.percentile,
            momentum=self.momentum,
            levels=1 << self.bits,
            symmetric=self.symmetric,
            elements=self.elements,
            seed=context.seed,
        )
        sources = list(dict.fromkeys(map(_values.source, wanted)))
        seen = calibrate(model, sources, method, context) if sources else Seen()
        chosen = self.values or context.target.integer is None
        why = _untyped(model) or ([] if sources or chosen else [_NONE])
        model.meta[ranges.WITHOUT] = [*seen.endless.values(), *why]
        found = {source: seen.range(source) for source in sources}
        changes = 0
        for value in wanted:
            kept = found[_values.source(value)]
            if kept is None or ranges.read(value) == kept:
                continue
            if context.gate.permit(self.name, value.name or ""):
                ranges.write(value, kept)
                changes += 1
        return changes

    def _wanted(self, model: ir.Model, context: Context) -> list[ir.Value]:
        known = list(_values.floats(model))
        if self.values:
            names = {value.name or "": value for value in known}
            strange = next((name for name in self.values if name not in names), None)
            if strange is not None:
                raise UsageError(
                    f"'{strange}' is no activation in float32 or half precision of the main graph"
                    f"{nearest(strange, names)}"
                )
            return [names[name] for name in dict.fromkeys(self.values)]
        kernels = context.target.integer
        if kernels is not None:
            floats = set(known)
            return [value for value in read_by(model, kernels) if value in floats]
        return [value for value in known if not _values.bounded(value)]


def _untyped(model: ir.Model) -> list[str]:
    """Say where nothing but inputs and outputs has a type, and so nothing else a range."""
    made = [value for node in model.graph for value in node.outputs if value.name]
    inner = [value for value in made if not value.is_graph_output()]
    if not inner or any(value.type is not None for value in inner):
        return []
    return ["types of values are not known; put infer-shapes before quantize/calibrate"]
