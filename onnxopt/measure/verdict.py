"""What may be said about a ratio."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from onnxopt.measure.intervals import Estimate, holding

Outcome = Literal["faster", "slower", "same", "unknown"]

TOO_BUSY = "the machine was too busy to tell"
BUSY = f"{TOO_BUSY}: stop what else runs; 'bench --force' takes it as it is"
HOPELESS = 0.2
"""Share below which the bound of an unseen difference is worth a number."""
_POWER = 1.43
"""From the half-width of a 95 % interval to the effect that is found in 80 % of trials."""


class Verdict(NamedTuple):
    """An outcome for machines and a sentence for people."""

    outcome: Outcome
    text: str


def detectable(ratio: Estimate, noise: Estimate | None) -> float:
    """Return the smallest change of latency that would likely have been seen, as a share.

    Both estimates are of logarithms of ratios. Nothing within the noise floor is ever seen.
    """
    floor = noise.reach if noise is not None else 0.0
    return math.expm1(max((ratio.high - ratio.low) / 2 * _POWER, floor))


def verdict(ratio: Estimate, noise: Estimate | None) -> Verdict:
    """Say what a logarithm of a ratio, given the baseline's against itself, shows.

    A difference counts when the ratio lies outside the noise floor, which is the interval of the
    baseline against itself, and its own interval lies beyond what the baseline differs from itself.
    Otherwise one bound is told: the far end of the interval or, where that is larger, the smallest
    change that would likely have been seen.
    """
    floor = noise or Estimate(0.0, 0.0, 0.0)
    apart = abs(floor.value)
    if ratio.high < -apart and ratio.value < floor.low:
        return Verdict("faster", f"faster by {change(ratio)}")
    if ratio.low > apart and ratio.value > floor.high:
        return Verdict("slower", f"slower by {change(ratio)}")
    bound = max(math.expm1(ratio.reach), detectable(ratio, noise))
    if bound > HOPELESS:
        return Verdict(
            "unknown", "too noisy or too short to tell: measure longer, on a quieter machine"
        )
    seen = ratio.high < 0 or ratio.low > 0
    what = "told from noise" if seen else "measured"
    return Verdict("same", f"no difference that could be {what} (smaller than {100 * bound:.1f} %)")


def faster_in_all(*ratios: Estimate) -> tuple[Estimate, str]:
    """Return what several measurements that find one thing faster come to, and say so.

    The mean of the ratios' logarithms, with an interval that holds all of theirs.
    """
    held = holding(*(ratio.log() for ratio in ratios))
    return held.exp(), f"faster by {change(held)}"


def change(ratio: Estimate) -> str:
    """Return how much time more or less a logarithm of a ratio means, with its interval."""
    sign = 1 if ratio.value > 0 else -1
    value, one, other = (
        sign * 100 * math.expm1(end) for end in (ratio.value, ratio.low, ratio.high)
    )
    return f"{value:.1f} % (95 %: {min(one, other):.1f} to {max(one, other):.1f})"
