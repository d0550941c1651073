"""Quantities side by side: time by operator, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onnxopt.errors import UsageError
from onnxopt.page.drawing import canvas, engineering, svg_of
from onnxopt.page.palette import INK, series
from onnxopt.page.plot import Plot, listed, quantity
from onnxopt.page.words import legend, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 30
_FIRST = 0.5
"""How opaque the first of several series is: paler on paper without colours too."""


def bars(
    data: Mapping[str, Sequence[float]], *, series_names: Sequence[str], axis: str, unit: str = ""
) -> Plot:
    """Draw horizontal bars: for each label one bar a series, in the order given.

    Only the first 30 labels are drawn, and the caption says so; the table has them all. Raises
    UsageError where there are none, or where a label has another number of values than there are
    series.
    """
    if not data or any(len(values) != len(series_names) for values in data.values()):
        raise UsageError(f"bars need {len(series_names)} values a label: {', '.join(series_names)}")
    shown = dict(list(data.items())[:_MOST])
    many = len(series_names)
    with canvas(0.9 + (0.16 + 0.15 * many) * len(shown)) as figure:
        axes = figure.subplots()
        for number, name in enumerate(series_names):
            _draw(axes, number, many, legend(name), shown, unit)
        axes.set_yticks(range(len(shown)), [shorten(label, 40) for label in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, 1.12 * max(max(values) for values in shown.values()) or 1)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(shorten(axis, 80))
        axes.grid(axis="x")
        engineering(axes, x=unit)
        if many > 1:
            figure.legend(loc="outside upper center", ncols=many)
        svg = svg_of(figure)
    left = f"; the first {_MOST} of {len(data)} are drawn" if len(data) > _MOST else ""
    return Plot(
        svg=svg,
        alt=f"{axis} of {listed(list(data))}, {' and '.join(series_names)}{left}.",
        header=("", *series_names),
        rows=tuple((label, *(quantity(v, unit) for v in row)) for label, row in data.items()),
    )


def _draw(
    axes: Axes, number: int, many: int, name: str, data: Mapping[str, Sequence[float]], unit: str
) -> None:
    thick = 0.8 / many
    places = [place + thick * (number - (many - 1) / 2) for place in range(len(data))]
    values = [row[number] for row in data.values()]
    drawn = axes.barh(places, values, height=thick * 0.92, color=series(number), label=name)
    if many > 1 and number == 0:
        for patch in drawn:
            patch.set_alpha(_FIRST)
    texts = [quantity(value, unit) for value in values]
    axes.bar_label(drawn, texts, padding=3, fontsize=8, color=INK)
