"""Many things by two of their figures: what a layer costs against what it saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from onnxopt.errors import UsageError
from onnxopt.page.drawing import canvas, engineering, svg_of
from onnxopt.page.palette import INK, marker, series
from onnxopt.page.plot import Plot, listed, quantity
from onnxopt.page.words import legend, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = 6


class Spot(NamedTuple):
    """One thing."""

    label: str
    x: float
    y: float
    group: str


def scatter(spots: Sequence[Spot], *, x: str, y: str, x_unit: str = "", y_unit: str = "") -> Plot:
    """Draw each thing as a mark of its group's colour and shape; the first six are named.

    Raises UsageError where there is nothing to draw.
    """
    if not spots:
        raise UsageError(f"'{y}' against '{x}' needs marks: there are none")
    with canvas(3.8) as figure:
        axes = figure.subplots()
        axes.margins(x=0.12, y=0.12)
        titles = {}
        for number, group in enumerate(dict.fromkeys(spot.group for spot in spots)):
            members = [spot for spot in spots if spot.group == group]
            titles[f"spots-{number}"] = [
                ", ".join(_figures(spot, x_unit, y_unit)) for spot in members
            ]
            _draw(axes, number, members)
        for spot in spots[:_NAMED]:
            _name(axes, spot)
        axes.set_xlabel(shorten(x, 80))
        axes.set_ylabel(shorten(y, 40))
        axes.grid()
        engineering(axes, x=x_unit, y=y_unit)
        figure.legend(loc="outside upper center", ncols=4)
        svg = svg_of(figure, titles)
    return Plot(
        svg=svg,
        alt=f"{y} against {x} of {listed([spot.label for spot in spots])}.",
        header=("", "group", x, y),
        rows=tuple(_figures(spot, x_unit, y_unit) for spot in spots),
    )


def _draw(axes: Axes, number: int, spots: Sequence[Spot]) -> None:
    axes.scatter(
        [spot.x for spot in spots],
        [spot.y for spot in spots],
        s=36,
        marker=marker(number),
        color=series(number),
        alpha=0.75,
        gid=f"spots-{number}",
        label=legend(spots[0].group),
    )


def _name(axes: Axes, spot: Spot) -> None:
    axes.annotate(
        shorten(spot.label, 30),
        (spot.x, spot.y),
        xytext=(5, 4),
        textcoords="offset points",
        fontsize=8,
        color=INK,
    )


def _figures(spot: Spot, x_unit: str, y_unit: str) -> tuple[str, ...]:
    return (spot.label, spot.group, quantity(spot.x, x_unit), quantity(spot.y, y_unit))
