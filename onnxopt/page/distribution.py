"""How often which value: one row a variant, all on one axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onnxopt.errors import UsageError
from onnxopt.page.drawing import canvas, engineering, svg_of
from onnxopt.page.palette import INK, series
from onnxopt.page.plot import Plot, listed, quantity
from onnxopt.page.words import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REACH = 2.0
"""How far the axis goes beyond the 10th and 90th percentiles, in their distance."""
_BINS = 60


def distribution(samples: Mapping[str, Sequence[float]], *, axis: str, unit: str = "s") -> Plot:
    """Draw a histogram of each variant with its median, above one another on one axis.

    Values are in ``unit``. The axis leaves out what lies far beyond a variant's 10th and 90th
    percentiles, and how many values that are is told. Raises UsageError where a variant has none.
    """
    empty = [name for name, values in samples.items() if not values]
    if empty or not samples:
        raise UsageError(f"a distribution needs values: {', '.join(empty) or 'there are none'}")
    low, high = _range(list(samples.values()))
    with canvas(0.5 + 0.62 * len(samples)) as figure:
        all_axes = figure.subplots(len(samples), 1, sharex=True, squeeze=False)[:, 0]
        for number, (name, values) in enumerate(samples.items()):
            _row(all_axes[number], name, values, (low, high), series(number))
        all_axes[-1].set_xlabel(shorten(axis, 80))
        engineering(all_axes[-1], x=unit)
        svg = svg_of(figure)
    return Plot(
        svg=svg,
        alt=f"Histograms of {axis} for {listed(list(samples))}; the table has their percentiles.",
        header=("variant", "values", "least", "p10", "median", "p90", "largest"),
        rows=tuple(_figures(name, values, unit) for name, values in samples.items()),
    )


def _range(samples: Sequence[Sequence[float]]) -> tuple[float, float]:
    lows, highs = [], []
    for values in samples:
        tenth, ninetieth = quantile(values, 0.1), quantile(values, 0.9)
        reach = _REACH * (ninetieth - tenth)
        lows.append(max(min(values), tenth - reach))
        highs.append(min(max(values), ninetieth + reach))
    margin = (max(highs) - min(lows)) * 0.02 or abs(max(highs)) * 0.05 or 1.0
    return min(lows) - margin, max(highs) + margin


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def _row(
    axes: Axes, name: str, values: Sequence[float], limits: tuple[float, float], colour: str
) -> None:
    inside = [value for value in values if limits[0] <= value <= limits[1]]
    axes.hist(inside, bins=_BINS, range=limits, color=colour, alpha=0.55, histtype="stepfilled")
    axes.axvline(quantile(values, 0.5), color=INK, linewidth=1.2)
    axes.set_yticks([])
    axes.set_xlim(*limits)
    axes.set_ylabel(shorten(name, 28), rotation=0, ha="right", va="center", color=INK)
    axes.tick_params(axis="x", length=0)
    if len(inside) < len(values):
        beyond = f"{len(values) - len(inside)} beyond"
        axes.text(1.0, 0.72, beyond, transform=axes.transAxes, ha="right", fontsize=8)


def _figures(name: str, values: Sequence[float], unit: str) -> tuple[str, ...]:
    chosen = [quantile(values, share) for share in (0.0, 0.1, 0.5, 0.9, 1.0)]
    return (name, str(len(values)), *(quantity(value, unit) for value in chosen))
