"""Layers put back into float until a metric has fallen by no more than a budget allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from onnxopt.quantizer.memory import Memory
from onnxopt.quantizer.mixed import Timing, leave_out

LEAST = 1e-4
"""The smallest share of the noise that is aimed at."""
TRIALS = 8
"""Choices that are scored at most, beside the whole: each halves the range of what is unknown."""

Score = Callable[[list[str]], float]
"""Takes layers to leave in float, scores what is left and keeps it where it is the best; returns
how far the metric has fallen."""


class Search:
    """A bisection over the noise that is let in, on a logarithmic scale.

    For each share of the noise the fastest choice of layers within it is scored, where times are
    known, else that with the fewest layers in float. More noise is let in as long as the metric
    keeps to its budget, less where it does not. Anything found out already is not done again.
    """

    def __init__(
        self,
        noise: Mapping[str, float],
        total: float,
        timing: Timing | None,
        most: float,
        memory: Memory,
    ) -> None:
        self._noise, self._total, self._timing = noise, min(total, 1e6), timing
        self._most, self._memory = most, memory

    def run(self, score: Score) -> list[str] | None:
        """Return which layers to leave in float; None where no choice is within the budget."""
        best: list[str] | None = None
        low, high = math.log(LEAST), 0.0
        tried: list[list[str]] = []
        for _ in range(TRIALS):
            middle = (low + high) / 2 if tried else low
            out = self._out(math.exp(middle))
            if out not in tried:
                tried.append(out)
            if self._within(out, score):
                best, low = out, middle
            elif len(tried) == 1:
                return None
            else:
                high = middle
        return best

    def _out(self, share: float) -> list[str]:
        return sorted(leave_out(self._noise, self._total, self._total * share, self._timing))

    def _within(self, out: list[str], score: Score) -> bool:
        known = self._memory.drop(out)
        if known is None:
            known = score(out)
            self._memory.dropped(out, known)
        return known <= self._most
