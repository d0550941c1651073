"""Pages: nothing from a model steers them, they need nothing else, and they can be read aloud."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.errors import UsageError
from onnxopt.page import Interval, Page, Point, bars, check, forest, lines
from onnxopt.page.palette import VARIABLES
from tests.page.reading import Reading
from tests.source import ROOT

TEMPLATES = ROOT / "onnxopt" / "page" / "templates"
HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"' & $x$ \u202e\x00"


def page_of(name: str) -> Page:
    """Return a page that shows a name everywhere."""
    plot = forest([Interval(name, 0.9, 0.8, 1.0)], axis=name)
    return (
        Page(name, name)
        .heading(name)
        .text(name)
        .say("warning", name)
        .tiles([(name, name, name)])
        .facts({name: name})
        .code(name)
        .table((name, "b"), [(name, name)], name)
        .table((name,), [(name,)] * 30, name)
        .figure(plot, name)
    )


def test_names_are_text_and_no_more() -> None:
    plain, hostile = Reading(page_of("x").to_html()), Reading(page_of(HOSTILE).to_html())
    assert hostile.tags == plain.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert "".join(hostile.words).count("<script>alert(1)</script>") >= 11
    assert not re.search("[\x00\u202e]", page_of(HOSTILE).to_html())


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_gives_a_page(name: str) -> None:
    html = Page(name).text(name).table((name,), [(name,)]).to_html()
    html.encode("utf-8")
    assert Reading(html).tags.count("h1") == 1


def test_a_page_needs_nothing_else() -> None:
    reading = Reading(page_of("x").figure(lines({"a": [Point(1, 2)]}, x="n", y="t")).to_html())
    assert not {"script", "link", "iframe", "object", "base"} & set(reading.tags)
    assert reading.values("src") == []
    assert all(value.startswith("#") for value in reading.values("href"))
    assert "default-src 'none'" in " ".join(reading.values("content"))


def test_every_picture_has_words_and_figures() -> None:
    plot = bars({"Conv": (1e-3, 5e-4)}, series_names=("before", "after"), axis="time", unit="s")
    reading = Reading(Page("t").figure(plot).to_html())
    assert plot.alt in reading.values("aria-label")
    assert {"Conv", "1 ms", "500 us", "before", "after"} <= set(reading.words)


def test_ids_are_unique() -> None:
    page = page_of("x").figure(forest([Interval("b", 1.1, 1.0, 1.2)], axis="t"))
    ids = Reading(page.to_html()).values("id")
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.parametrize("place", [":root {\n  color-scheme: light", "screen and (prefers-color"])
def test_every_colour_is_there_in_light_and_dark(place: str) -> None:
    styles = (TEMPLATES / "page.css").read_text("utf-8")
    block = styles[styles.index(place) :].partition("}")[0]
    assert [name for name in VARIABLES.values() if f"{name}: #" not in block] == []


def test_light_colours_are_those_of_plots() -> None:
    styles = (TEMPLATES / "page.css").read_text("utf-8")
    assert [c for c, name in VARIABLES.items() if f"{name}: {c};" not in styles] == []


def test_numbers_stand_to_the_right() -> None:
    rows = [("a", "1.5 ms", "-", "0.7 to 0.8", "no"), ("b", "12 %", "-3e-05", "1", "7")]
    html = Page("t").table(("n", "v", "w", "x", "y"), rows).to_html()
    assert re.findall(r"<th scope=\"col\"( class=\"number\")?", html) == [
        "",
        *[' class="number"'] * 3,
        "",
    ]


def test_long_tables_are_folded() -> None:
    rows = [(str(n),) for n in range(30)]
    assert "details" in Reading(Page("t").table(("n",), rows, "all").to_html()).tags
    assert "details" not in Reading(Page("t").table(("n",), rows[:5], "all").to_html()).tags


def test_it_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    Page("new").save(path)
    assert "<h1>new</h1>" in path.read_text("utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_a_missing_folder_is_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        check(tmp_path / "none" / "page.html")


def test_a_missing_extra_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else real(name)
    )
    with pytest.raises(UsageError, match=r'needs matplotlib: pip install "onnxopt\[html\]"$'):
        check(Path("page.html"))
    with pytest.raises(UsageError, match="onnxopt"):
        forest([Interval("a", 1, 1, 1)], axis="t")


def test_templates_are_installed() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = declared["tool"]["setuptools"]["package-data"]["onnxopt.page"]
    folder = ROOT / "onnxopt" / "page"
    shipped = {path for pattern in patterns for path in folder.glob(pattern)}
    other = {path for path in folder.rglob("*") if path.is_file() and path.suffix[:3] != ".py"}
    assert other <= shipped
    assert TEMPLATES / "page.html" in shipped
