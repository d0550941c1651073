"""Plots: what they show, and that no name breaks them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from xml.etree import ElementTree as ET

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.errors import UsageError
from onnxopt.page import (
    Band,
    Ceiling,
    Interval,
    Mark,
    Plot,
    Point,
    Spot,
    bars,
    distribution,
    forest,
    lines,
    roofline,
    scatter,
)
from onnxopt.page.distribution import quantile
from onnxopt.page.palette import BAD, GOOD, SERIES
from onnxopt.page.plot import quantity

CEILING = Ceiling("float32", 1e11, 1e10)

DRAWINGS: dict[str, Callable[[str], Plot]] = {
    "distribution": lambda name: distribution({name: [1.0, 2.0, 2.0]}, axis="time"),
    "forest": lambda name: forest(
        [Interval(name, 0.5, 0.4, 0.6)], axis=name, band=Band(name, 1, 2)
    ),
    "lines": lambda name: lines({name: [Point(1, 2)], "b": [Point(2, 3)]}, x=name, y=name),
    "bars": lambda name: bars({name: (1.0,)}, series_names=("now",), axis="time"),
    "scatter": lambda name: scatter([Spot(name, 1.0, 2.0, name)], x=name, y=name),
    "roofline": lambda name: roofline([Mark(name, 2.0, 1e9, 0.5, name)], [CEILING]),
}


def colours(plot: Plot) -> set[str]:
    """Return the colours that a picture uses."""
    return set(re.findall(r"#[0-9a-f]{6}", plot.svg))


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
@given(name=st.text(min_size=1, max_size=60))
@settings(max_examples=8, deadline=None)
def test_any_name_can_be_drawn(draw: Callable[[str], Plot], name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot = draw(name)
    root = ET.fromstring(plot.svg)
    assert root.tag == "svg"
    assert plot.alt
    assert all(len(row) == len(plot.header) for row in plot.rows)


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_drawing_leaves_settings_alone_and_is_repeatable(draw: Callable[[str], Plot]) -> None:
    before = dict(matplotlib.rcParams)
    assert draw("$x$").svg == draw("$x$").svg
    assert dict(matplotlib.rcParams) == before
    assert "$x$" in draw("$x$").svg


def test_no_name_is_left_out_of_a_legend() -> None:
    points = [Point(1, 2)]
    assert "_a</text>" in lines({"_a": points, "b": points}, x="n", y="t").svg


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values: list[float], share: float) -> None:
    assert quantile(values, share) == np.quantile(values, share, method="inverted_cdf")


def test_a_distribution_counts_what_it_leaves_out() -> None:
    plot = distribution({"a": [1.0, 1.1, 1.2, 1.3] * 10 + [90.0, 91.0]}, axis="time")
    assert "2 beyond" in plot.svg
    assert plot.rows == (("a", "42", "1 s", "1 s", "1.2 s", "1.3 s", "91 s"),)


def test_equal_values_have_a_distribution() -> None:
    assert "beyond" not in distribution({"a": [0.0, 0.0]}, axis="time").svg


def test_a_forest_tells_sides_by_colour() -> None:
    assert GOOD in colours(forest([Interval("a", 0.9, 0.8, 0.95)], axis="r"))
    assert BAD in colours(forest([Interval("a", 1.2, 1.1, 1.3)], axis="r"))
    assert not {GOOD, BAD} & colours(forest([Interval("a", 1.0, 0.9, 1.1)], axis="r"))


def test_the_noise_floor_is_shaded_and_told() -> None:
    plot = forest([Interval("a", 0.9, 0.8, 1.0)], axis="r", band=Band("noise floor", 0.97, 1.02))
    assert "noise floor" in plot.svg
    assert plot.rows[-1] == ("noise floor", "1.0000", "0.9700", "1.0200")


def test_wide_ratios_are_spread_by_ratio() -> None:
    ticks = re.findall(r">([\d.]+)</text>", forest([Interval("a", 0.1, 0.08, 4.0)], axis="r").svg)
    assert {"0.1", "0.2", "0.5", "1", "2"} <= set(ticks)


def test_lines_carry_units_and_a_legend_where_there_are_several() -> None:
    plot = lines({"a": [Point(1, 1e-3), Point(16, 9e-3)], "b": [Point(1, 2e-3)]}, x="batch", y="t")
    assert "</text>" in plot.svg
    assert {SERIES[0], SERIES[1]} <= colours(plot)
    timed = lines({"a": [Point(1, 1e-3, 9e-4, 1.1e-3)]}, x="batch", y="time", unit="s")
    assert " ms</text>" in timed.svg
    assert timed.rows == (("a", "1", "1 ms", "900 us", "1.1 ms"),)


def test_bars_say_what_they_leave_out() -> None:
    plot = bars({f"op{n}": (float(n),) for n in range(40)}, series_names=("n",), axis="count")
    assert "first 30 of 40" in plot.alt
    assert len(plot.rows) == 40
    assert "op29" in plot.svg
    assert "op30" not in plot.svg


def test_marks_of_a_roofline_tell_what_they_are() -> None:
    marks = [Mark("conv1", 10, 1e9, 0.6, "Conv"), Mark("relu", 0, 0, 0.1, "Relu")]
    plot = roofline(marks, [CEILING])
    titles = [e.text or "" for e in ET.fromstring(plot.svg).iter("title")]
    assert titles == ["conv1, Conv, 10, 1 GMAC/s, 60.0 %"]
    assert len(plot.rows) == 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda: distribution({}, axis="t"),
        lambda: distribution({"a": []}, axis="t"),
        lambda: forest([], axis="t"),
        lambda: lines({"a": []}, x="n", y="t"),
        lambda: bars({"a": (1.0, 2.0)}, series_names=("one",), axis="t"),
        lambda: roofline([], [CEILING]),
    ],
)
def test_nothing_to_draw_is_an_error(draw: Callable[[], Plot]) -> None:
    with pytest.raises(UsageError):
        draw()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.2345e-3, "s", "1.23 ms"),
        (0.0009999, "s", "1 ms"),
        (123.4e-6, "s", "123 us"),
        (5e-9, "s", "5 ns"),
        (0.0, "s", "0 s"),
        (2.5e9, "MAC", "2.5 GMAC"),
        (-3.0, "s", "-3 s"),
        (12345.0, "", "1.23e+04"),
    ],
)
def test_quantities_read_well(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_spots_have_the_colours_of_their_groups_and_names() -> None:
    spots = [Spot("first", 1e-6, 20.0, "integer"), Spot("second", 2e-6, 30.0, "float")]
    plot = scatter(spots, x="saved", y="signal", x_unit="s", y_unit="dB")
    assert {SERIES[0], SERIES[1]} <= colours(plot)
    assert plot.rows == (
        ("first", "integer", "1 us", "20 dB"),
        ("second", "float", "2 us", "30 dB"),
    )
    assert "first" in plot.svg
    with pytest.raises(UsageError, match="there are none"):
        scatter([], x="a", y="b")
