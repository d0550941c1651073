"""Estimates with their intervals, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxopt.errors import UsageError
from onnxopt.page.drawing import canvas, svg_of
from onnxopt.page.palette import BAD, BAND, GOOD, INK, MUTED
from onnxopt.page.plot import Band, Interval, Plot, listed
from onnxopt.page.words import legend, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR = 2.0
"""Where the largest is so many times the smallest, equal ratios get equal lengths."""


def forest(
    rows: Sequence[Interval], *, axis: str, reference: float = 1.0, band: Band | None = None
) -> Plot:
    """Draw each estimate as a dot with its interval as a line, against a reference.

    Less is better: an interval wholly below the reference is drawn in one colour, one above it in
    another, one across it in grey. ``band`` is shaded: the noise floor. All values are plain
    numbers above 0. Raises UsageError where there are no rows.
    """
    if not rows:
        raise UsageError("a forest plot needs estimates: there are none")
    with canvas(0.75 + 0.34 * len(rows)) as figure:
        axes = figure.subplots()
        if band is not None:
            axes.axvspan(band.low, band.high, color=BAND, label=legend(band.label))
        axes.axvline(reference, color=MUTED, linewidth=1)
        for place, row in enumerate(rows):
            _draw(axes, place, row, reference)
        _scale(axes, rows, reference)
        axes.set_xlabel(shorten(axis, 80))
        axes.set_yticks(range(len(rows)), [shorten(row.label, 40) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        if band is not None:
            figure.legend(loc="outside upper right")
        svg = svg_of(figure)
    words = listed([f"{row.label} {row.value:.3f}" for row in rows])
    return Plot(
        svg=svg,
        alt=f"{axis}, estimates with 95 % intervals against {reference:g}: {words}.",
        header=("", "estimate", "from", "to"),
        rows=tuple(_figures(row) for row in (*rows, *_as_row(band, reference))),
    )


def _draw(axes: Axes, place: int, row: Interval, reference: float) -> None:
    colour = GOOD if row.high < reference else BAD if row.low > reference else MUTED
    axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2.2)
    axes.plot([row.value], [place], "o", color=colour, markersize=6)
    axes.annotate(
        f"{row.value:.3f}",
        (row.value, place),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=INK,
    )


def _scale(axes: Axes, rows: Sequence[Interval], reference: float) -> None:
    least = min(reference, *(row.low for row in rows))
    most = max(reference, *(row.high for row in rows))
    if least <= 0 or most / least < _FAR:
        axes.margins(x=0.08)
        axes.grid(axis="x")
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(least / 1.15, most * 1.15)
    axes.grid(axis="x")


def _as_row(band: Band | None, reference: float) -> list[Interval]:
    return [] if band is None else [Interval(band.label, reference, band.low, band.high)]


def _figures(row: Interval) -> tuple[str, ...]:
    return (row.label, f"{row.value:.4f}", f"{row.low:.4f}", f"{row.high:.4f}")
