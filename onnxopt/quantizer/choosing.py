"""Which of the models that were tried is handed back, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from onnxopt.measure.intervals import Estimate
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
        fit = self._fit()
        if not fit and not self._slow_float():
            return FLOAT, "nothing that was tried keeps the outputs"
        if any(row.interrupted for row in self.tried):
            return fit[0].scheme, "the best until the search was interrupted"
        if not self.measured:
            return fit[0].scheme, "the first that keeps the outputs; nothing was measured"
        told = [row for row in fit if row.outcome != "unknown"]
        timed = {row.scheme: row.latency for row in told if row.latency and row.latency.high < 1}
        best = min(timed, key=lambda scheme: timed[scheme].value, default=None)
        if best is None and self._slow_float():
            return GIVEN, "all else is slower, the optimized float model too"
        if best is None and len(told) < len(fit):
            return FLOAT, "what is faster could not be told: measure longer, on a quieter machine"
        if best is None:
            return FLOAT, "nothing that was tried is faster than the model given"
        own = self._float()
        if own is not None and own.latency and own.latency.value <= timed[best].value:
            return FLOAT, "the optimized model is the fastest as it is"
        sparing = self._on_no_samples(timed, best)
        if sparing != best:
            return sparing, f"as fast as {best} for all that was measured, and rests on no samples"
        return best, "the fastest that keeps the outputs"

    def _on_no_samples(self, timed: Mapping[str, Estimate], best: str) -> str:
        """Return the fastest that needs no calibration, if each of it and the best is in reach.

        In reach of the other's interval, that is: ranges that samples gave may not hold for what
        the model is fed later on, so they have to gain something.
        """
        calibrated = {row.scheme for row in self.tried if row.calibrates}
        if best not in calibrated:
            return best
        first = timed[best]
        near = [
            scheme
            for scheme, each in timed.items()
            if scheme not in calibrated and each.value <= first.high and first.value >= each.low
        ]
        return min(near, key=lambda scheme: timed[scheme].value, default=best)

    def tied(self) -> list[Tried]:
        """Return those of which each may be the fastest, for all that was measured; or nothing."""
        timed = [
            (row.latency, row) for row in self._fit() if row.outcome == "faster" and row.latency
        ]
        if not timed:
            return []
        reach = min(timed, key=lambda pair: pair[0].value)[0].high
        near = [row for latency, row in timed if latency.low <= reach]
        return near if len(near) > 1 else []

    def _fit(self) -> list[Tried]:
        return [row for row in self.tried if row.scheme in self.built and not row.refused]

    def _float(self) -> Tried | None:
        return next((row for row in self.tried if row.scheme == FLOAT), None)

    def _slow_float(self) -> bool:
        """Return whether the optimized float model was found to be slower than the one given."""
        row = self._float()
        if row is None or row.latency is None or row.outcome == "unknown":
            return False
        return row.latency.low > 1

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
        if row.outcome == "slower":
            slower = f"{row.scheme} is {row.verdict} than the model given"
            warning = f"{warning}; {slower}" if warning else slower
        return row.scheme, "as asked for", warning
