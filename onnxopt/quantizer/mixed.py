"""Which layers go back to float: by the noise that they make and the time that they save."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from onnxopt.quantizer.guard import to_leave_out
from onnxopt.quantizer.regions import Part, worth

_STEPS = 16
"""Halvings of the range of the weight of noise against time, on a logarithmic scale."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """What a measured model shows of its parts."""

    parts: Sequence[Part]
    sizes: Mapping[str, float]

    def out(self, noise_s: float = 0.0) -> list[Part]:
        """Return the parts that had better be in float, each unit of noise worth some seconds."""
        return worth(self.parts, self.sizes, noise_s)

    def gain(self) -> dict[str, float]:
        """Return the seconds that each layer saves on integers, changes of form not counted."""
        return {part.name: part.float_s - part.integer_s for part in self.parts if part.layer}


def leave_out(
    noise: Mapping[str, float], total: float, allowed: float, timing: Timing | None
) -> list[str]:
    """Return what to keep in float, by name, so that the noise of the rest stays within a bound.

    ``noise`` is that of each layer quantized alone, ``total`` that of all together. Where times are
    known the fastest such choice, else the loudest layers.
    """
    if timing is None:
        return to_leave_out(dict(noise), total, allowed)
    factor = total / (sum(noise.values()) or 1.0)
    for part in timing.parts:
        part.noise = factor * noise.get(part.name, 0.0)
    spent = sum(part.float_s for part in timing.parts) or 1e-3
    low, high = spent * 1e-6, spent / max(allowed, 1e-12) * 1e3
    found = [part.name for part in timing.parts]
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        out = timing.out(middle)
        left = sum(part.noise for part in set(timing.parts) - set(out))
        if left <= allowed:
            high, found = middle, [part.name for part in out]
        else:
            low = middle
    return found
