"""Calibrators: each makes a range of the arrays that a value takes on, seen one at a time."""

from __future__ import annotations

import abc
import dataclasses
from typing import Literal

import numpy as np

from onnxopt.quantization import clipping
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.sketch import Histogram

Name = Literal["minmax", "moving-average", "percentile", "entropy", "mse"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """How ranges are chosen."""

    name: Name = "minmax"
    percentile: float = 99.99
    """The percentage of the numbers that ``percentile`` keeps; half of the rest lies on each side.
    """
    momentum: float = 0.01
    """The weight of the newest sample in a ``moving-average``."""
    levels: int = 256
    """Steps of the quantized type, for ``entropy`` and ``mse``."""
    symmetric: bool = False
    """Whether the range will reach equally far to both sides of zero."""
    elements: int = 1 << 15
    """The elements of a value that a histogram counts in each sample; 0 is all."""
    seed: int = 0
    """Chooses which elements."""

    def calibrator(self, known: Calibrator | None = None) -> Calibrator:
        """Return a calibrator that has seen nothing, or what another has that tells all."""
        made = CALIBRATORS[self.name](self)
        if known is not None:
            made.take(known)
        return made

    @property
    def counts(self) -> bool:
        """Whether it needs the numbers themselves beside their extremes."""
        return issubclass(CALIBRATORS[self.name], Counted)

    def told_by(self, other: Method) -> bool:
        """Return whether what calibrators of another method keep is all that this one needs."""
        if self.name == "minmax":
            return True
        same = (self.elements, self.seed) == (other.elements, other.seed)
        return self.counts and other.counts and same


class Calibrator(abc.ABC):
    """Makes a range of arrays in fixed memory."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.seen: Range | None = None

    def see(self, extremes: Range) -> None:
        """Take account of the lowest and highest number of an array."""
        self.seen = extremes if self.seen is None else self.seen | extremes

    def take(self, other: Calibrator) -> None:
        """Take over what another has seen, whose method tells this one all."""
        self.seen = other.seen

    def range(self) -> Range | None:
        """Return the range of what was seen, None as long as that is nothing."""
        return None if self.seen is None else self._choose(self.seen)

    @abc.abstractmethod
    def _choose(self, seen: Range) -> Range: ...


class MinMax(Calibrator):
    """Keeps every number that was seen."""

    def _choose(self, seen: Range) -> Range:
        return seen


class MovingAverage(Calibrator):
    """Averages the ends over the samples, the newest with a fixed weight: ``e += m (new - e)``."""

    def __init__(self, method: Method) -> None:
        super().__init__(method)
        self._average: Range | None = None

    def see(self, extremes: Range) -> None:
        super().see(extremes)
        old, weight = self._average or extremes, self.method.momentum
        self._average = Range(
            low=old.low + weight * (extremes.low - old.low),
            high=old.high + weight * (extremes.high - old.high),
        )

    def _choose(self, seen: Range) -> Range:
        return self._average or seen


class Counted(Calibrator):
    """Chooses by the distribution of the numbers."""

    def __init__(self, method: Method) -> None:
        super().__init__(method)
        self.histogram = Histogram(method.elements)
        self._random = np.random.default_rng(method.seed)

    def count(self, array: np.ndarray, extremes: Range) -> None:
        """Take account of the numbers of an array whose extremes were seen."""
        self.histogram.add(array, max(-extremes.low, extremes.high), self._random)

    def take(self, other: Calibrator) -> None:
        super().take(other)
        if isinstance(other, Counted):
            self.histogram = other.histogram

    def _choose(self, seen: Range) -> Range:
        if not self.histogram.width:
            return seen
        low, high = self._clip(seen)
        low, high = np.clip([low, high], seen.low, seen.high)
        return Range(low=float(low), high=float(high))

    @abc.abstractmethod
    def _clip(self, seen: Range) -> tuple[float, float]: ...


class Percentile(Counted):
    """Keeps at least a percentage of the numbers, at most half of the rest dropped at either end.

    The ends are where a bin of the histogram ends: at most a bin wider than asked for.
    """

    def _clip(self, seen: Range) -> tuple[float, float]:
        outside = (1 - self.method.percentile / 100) / 2
        return self.histogram.quantile(outside)[0], self.histogram.quantile(1 - outside)[1]


class Entropy(Counted):
    """Clips where the quantized distribution diverges least from that of the numbers."""

    def _clip(self, seen: Range) -> tuple[float, float]:
        tried = clipping.thresholds(seen, symmetric=self.method.symmetric)
        at = clipping.least_divergence(self.histogram, tried, self.method.levels)
        return float(tried[at, 0]), float(tried[at, 1])


class LeastError(Counted):
    """Clips where rounding and clipping together make the least squared error."""

    def _clip(self, seen: Range) -> tuple[float, float]:
        symmetric = self.method.symmetric
        tried = clipping.thresholds(seen, symmetric=symmetric)
        low, high = clipping.least_error(
            self.histogram, tried, self.method.levels, symmetric=symmetric
        )
        return float(low), float(high)


CALIBRATORS: dict[Name, type[Calibrator]] = {
    "minmax": MinMax,
    "moving-average": MovingAverage,
    "percentile": Percentile,
    "entropy": Entropy,
    "mse": LeastError,
}
