"""Which of the models that were tried is handed back, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from onnxopt.quantizer.attempt import LEAST_BITS
from onnxopt.quantizer.report import Tried

FLOAT = "float"
"""What the optimized model is called that nothing was quantized in."""
GIVEN = "given"
"""What the model given is called, handed back as it was."""


@dataclasses.dataclass(frozen=True)
class Choosing:
    """A choice among rows of a report."""

    tried: Sequence[Tried]
    built: Collection[str]
    """The schemes of which there is a model."""
    measured: bool

    def best(self) -> tuple[str, str]:
        """Return the fastest that keeps the outputs, and why; nothing slower than was given."""
        fit = [row for row in self.tried if row.scheme in self.built and not row.refused]
        if not self.measured:
            if not fit:
                return FLOAT, "nothing that was tried keeps the outputs"
            return fit[0].scheme, "the first that keeps the outputs; nothing was measured"
        told = [row for row in fit if row.latency is not None and row.outcome != "unknown"]
        timed = [row for row in told if row.latency is not None and row.latency.high < 1]
        plain = next((row for row in self.tried if row.scheme == FLOAT), None)
        best = min(timed, key=lambda row: row.latency.value if row.latency else 1.0, default=None)
        own = None if plain is None else plain.latency
        if best is None or best.latency is None:
            if len(told) < len(fit):
                return FLOAT, "what is faster could not be told: measure on a quieter machine"
            if own is not None and own.low > 1:
                return GIVEN, "all else is slower, the optimized float model too"
            return FLOAT, "nothing that was tried is faster than the model given"
        if own is not None and own.value <= best.latency.value:
            return FLOAT, "the optimized model is the fastest as it is"
        return best.scheme, "the fastest that keeps the outputs"

    def asked_for(self, bits: int) -> tuple[str, str, str]:
        """Return the scheme that was asked for by name, why, and a warning.

        One that does damage beyond what its ``bits`` explain is only handed back where they are so
        few that this is to be expected.
        """
        row = next(row for row in self.tried if row.scheme != FLOAT)
        if row.scheme not in self.built:
            why = f"{row.scheme}: {row.refused or 'nothing was quantized'}"
            return FLOAT, why, f"{why}; the result is the float model"
        if row.refused and bits >= LEAST_BITS:
            return FLOAT, f"{row.scheme} is not handed back: {row.refused}", ""
        warning = ""
        if row.refused:
            warning = f"{row.refused}: expect other results than the model's"
            row.refused = None
        if row.latency is not None and row.latency.low > 1:
            slower = f"{row.scheme} is {row.verdict} than the model given"
            warning = f"{warning}; {slower}" if warning else slower
        return row.scheme, "as asked for", warning
