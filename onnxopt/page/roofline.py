"""Speed against arithmetic intensity, under what the machine can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from onnxopt.errors import UsageError
from onnxopt.page.drawing import canvas, engineering, svg_of
from onnxopt.page.palette import INK, MUTED, dash, marker, series
from onnxopt.page.plot import Plot, listed, quantity
from onnxopt.page.words import legend, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Ceiling(NamedTuple):
    """What the machine can do at most, in operations a second and bytes a second."""

    label: str
    operations: float
    bandwidth: float


class Mark(NamedTuple):
    """One piece of work."""

    label: str
    intensity: float
    """Operations a byte moved."""
    rate: float
    """Operations a second."""
    weight: float
    """Its share of the whole, from 0 to 1, as the area of the mark."""
    group: str


def roofline(marks: Sequence[Mark], ceilings: Sequence[Ceiling], *, unit: str = "MAC/s") -> Plot:
    """Draw work as marks under the ceilings, both axes by ratio.

    S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
    multicore architectures", CACM 52(4), 2009. Work of no operations or no bytes has no place here
    and is left out. Raises UsageError where nothing is left.
    """
    placed = [mark for mark in marks if mark.intensity > 0 and mark.rate > 0]
    if not placed:
        raise UsageError("a roofline needs work with operations and bytes: there is none")
    from matplotlib.ticker import FuncFormatter

    work = unit.removesuffix("/s")
    with canvas(4.4) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        titles = _marks(axes, placed, unit)
        _ceilings(axes, placed, ceilings, unit)
        axes.set_xlabel(f"intensity ({work} per byte moved)")
        axes.set_ylabel("speed")
        axes.grid()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        engineering(axes, y=unit)
        figure.legend(loc="outside upper center", ncols=4)
        svg = svg_of(figure, titles)
    return Plot(
        svg=svg,
        alt=f"Roofline: speed against intensity of {listed([mark.label for mark in placed])}, "
        f"under {listed([ceiling.label for ceiling in ceilings])}.",
        header=("", "group", f"{work} per byte", "speed", "share"),
        rows=tuple(_figures(mark, unit) for mark in placed),
    )


def _marks(axes: Axes, marks: Sequence[Mark], unit: str) -> dict[str, list[str]]:
    """Draw the marks; return what to tell when the pointer rests on them."""
    titles = {}
    for number, group in enumerate(dict.fromkeys(mark.group for mark in marks)):
        members = [mark for mark in marks if mark.group == group]
        titles[f"marks-{number}"] = [", ".join(_figures(mark, unit)) for mark in members]
        axes.scatter(
            [mark.intensity for mark in members],
            [mark.rate for mark in members],
            s=[18 + 500 * mark.weight for mark in members],
            marker=marker(number),
            color=series(number),
            alpha=0.75,
            gid=f"marks-{number}",
            label=legend(group),
        )
    return titles


def _ceilings(axes: Axes, marks: Sequence[Mark], ceilings: Sequence[Ceiling], unit: str) -> None:
    ridges = [ceiling.operations / ceiling.bandwidth for ceiling in ceilings]
    least = min(*(mark.intensity for mark in marks), *ridges, 1.0) / 2
    most = max(*(mark.intensity for mark in marks), *ridges, 1.0) * 4
    for number, ceiling in enumerate(ceilings):
        places = [least, ceiling.operations / ceiling.bandwidth, most]
        heights = [min(ceiling.operations, place * ceiling.bandwidth) for place in places]
        axes.plot(places, heights, color=MUTED, linestyle=dash(number), linewidth=1.4)
        text = f"{shorten(ceiling.label, 40)}: {quantity(ceiling.operations, unit)}"
        axes.annotate(
            text,
            (most, ceiling.operations),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=INK,
        )


def _figures(mark: Mark, unit: str) -> tuple[str, ...]:
    share = f"{100 * mark.weight:.1f} %"
    return (mark.label, mark.group, f"{mark.intensity:.3g}", quantity(mark.rate, unit), share)
