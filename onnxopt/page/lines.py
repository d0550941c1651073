"""One figure against another: time against batch, accuracy against sparsity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onnxopt.errors import UsageError
from onnxopt.page.drawing import canvas, engineering, svg_of
from onnxopt.page.palette import dash, marker, series
from onnxopt.page.plot import Plot, Point, listed, quantity
from onnxopt.page.words import legend, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR = 8
"""Where the largest x is so many times the smallest, equal ratios get equal lengths."""
_TICKS = 12


def lines(
    data: Mapping[str, Sequence[Point]], *, x: str, y: str, unit: str = "", from_zero: bool = True
) -> Plot:
    """Draw each series as a line through its points, with intervals where they have them.

    ``unit`` is y's; ticks carry it with prefixes of the SI. Raises UsageError where a series has no
    points.
    """
    if not data or not all(data.values()):
        raise UsageError(f"'{y}' against '{x}' needs points in every series: there are none in one")
    with canvas(3.4) as figure:
        axes = figure.subplots()
        for number, (name, points) in enumerate(data.items()):
            _draw(axes, number, legend(name), points)
        _axis(axes, sorted({point.x for points in data.values() for point in points}))
        axes.set_xlabel(shorten(x, 80))
        axes.set_ylabel(shorten(y, 40))
        engineering(axes, y=unit)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        if len(data) > 1:
            figure.legend(loc="outside upper center", ncols=min(len(data), 4))
        svg = svg_of(figure)
    return Plot(
        svg=svg,
        alt=f"{y} against {x} for {listed(list(data))}; the table has the figures.",
        header=("series", x, y, "from", "to"),
        rows=tuple(_figures(name, p, unit) for name, points in data.items() for p in points),
    )


def _draw(axes: Axes, number: int, name: str, points: Sequence[Point]) -> None:
    places, values = [point.x for point in points], [point.y for point in points]
    (line,) = axes.plot(places, values, marker(number), color=series(number), label=name)
    line.set_linestyle(dash(number))
    low = [point.y if point.low is None else point.low for point in points]
    high = [point.y if point.high is None else point.high for point in points]
    if low != values or high != values:
        axes.fill_between(places, low, high, color=series(number), alpha=0.18, linewidth=0)


def _axis(axes: Axes, places: Sequence[float]) -> None:
    """Give few places a tick each; spread a wide range evenly by ratio."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    if places[0] > 0 and places[-1] / places[0] >= _FAR:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_minor_locator(NullLocator())
    if len(places) <= _TICKS:
        axes.set_xticks(places)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _figures(name: str, point: Point, unit: str) -> tuple[str, ...]:
    ends = ["" if end is None else quantity(end, unit) for end in (point.low, point.high)]
    return (name, f"{point.x:g}", quantity(point.y, unit), *ends)
