"""What may be said about a ratio."""

from __future__ import annotations

import math

from onnxopt.measure.intervals import Estimate

_HOPELESS = 0.2
"""Share below which the bound of an unseen difference is worth a number."""
_POWER = 1.43
"""From the half-width of a 95 % interval to the effect that is found in 80 % of trials."""


def detectable(ratio: Estimate, noise: Estimate | None) -> float:
    """Return the smallest change of latency that would likely have been seen, as a share.

    Both estimates are of logarithms of ratios. Nothing within the noise floor is ever seen.
    """
    floor = noise.reach if noise is not None else 0.0
    return math.expm1(max((ratio.high - ratio.low) / 2 * _POWER, floor))


def verdict(ratio: Estimate, noise: Estimate | None) -> str:
    """Say in words what a logarithm of a ratio, given the baseline's against itself, shows.

    A difference counts when the ratio lies outside the noise floor, which is the interval of the
    baseline against itself, and its own interval lies beyond what the baseline differs from itself.
    Otherwise one bound is told: the far end of the interval or, where that is larger, the smallest
    change that would likely have been seen.
    """
    floor = noise or Estimate(0.0, 0.0, 0.0)
    apart = abs(floor.value)
    change = [100 * math.expm1(x) for x in (ratio.value, ratio.low, ratio.high)]
    if ratio.high < -apart and ratio.value < floor.low:
        return f"faster by {-change[0]:.1f} % (95 %: {-change[2]:.1f} to {-change[1]:.1f})"
    if ratio.low > apart and ratio.value > floor.high:
        return f"slower by {change[0]:.1f} % (95 %: {change[1]:.1f} to {change[2]:.1f})"
    bound = max(math.expm1(ratio.reach), detectable(ratio, noise))
    if bound > _HOPELESS:
        return "too noisy or too short to tell: measure longer, on a quieter machine"
    seen = ratio.high < 0 or ratio.low > 0
    what = "told from noise" if seen else "measured"
    return f"no difference that could be {what} (smaller than {100 * bound:.1f} %)"
