"""Drawn graphs: edges fall, boxes do not overlap, and what cannot be drawn is said."""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections import Counter
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.errors import UsageError
from onnxopt.page import END, Edge, Node, Page, family, graph, undrawn
from onnxopt.page.families import _TABLE, FAMILIES
from onnxopt.page.graph import MOST
from onnxopt.page.layers import layers
from tests.page.reading import Reading
from tests.source import ROOT

HOSTILE = "</title></svg><script>alert(1)</script>"

_EDGE = st.tuples(st.integers(0, 29), st.integers(1, 12)).map(lambda e: (e[0], e[0] + e[1]))


@given(st.integers(42, 50), st.lists(_EDGE, max_size=60))
@settings(deadline=None, max_examples=60)
def test_edges_fall_and_boxes_do_not_touch(count: int, edges: list[tuple[int, int]]) -> None:
    placed = layers(count, edges)
    assert len(placed.places) == count
    for (source, target), way in zip(edges, placed.routes, strict=True):
        assert way[0] == placed.places[source]
        assert way[-1] == placed.places[target]
        assert all(a.layer < b.layer for a, b in itertools.pairwise(way))
    for one, other in itertools.combinations(placed.places, 2):
        assert one.layer != other.layer or abs(one.column - other.column) > 0.99


@given(st.lists(_EDGE, min_size=1, max_size=40))
@settings(deadline=None, max_examples=20)
def test_a_layout_does_not_depend_on_the_order_of_edges(edges: list[tuple[int, int]]) -> None:
    assert layers(45, edges).places == layers(45, edges[::-1]).places


def test_long_edges_pass_between_the_boxes() -> None:
    chain = [(n, n + 1) for n in range(5)]
    placed = layers(6, [*chain, (0, 5)])
    way = placed.routes[-1]
    assert [point.layer for point in way] == [0, 1, 2, 3, 4, 5]
    for point, box in zip(way[1:-1], placed.places[1:-1], strict=True):
        assert abs(point.column - box.column) > 0.5


def test_a_graph_shows_every_box_and_tells_about_it() -> None:
    nodes = [
        Node("x", "image", END, "1x3x8x8", "input"),
        Node("a", "Conv", family("Conv"), "1x4x8x8", "conv1, strides=[1, 1]"),
        Node("b", "Relu", family("Relu"), "", "relu1"),
    ]
    plot = graph(nodes, [Edge("x", "a", "image"), Edge("a", "b", "t: float32[1,4,8,8]")])
    root = ET.fromstring(plot.svg)
    titles = [element.text for element in root.iter("title")]
    assert titles == ["image", "t: float32[1,4,8,8]", "input", "conv1, strides=[1, 1]", "relu1"]
    kinds = Counter(re.findall(r'class="(family-\w+)"', plot.svg))
    assert kinds == {"family-end": 1, "family-0": 2, "family-1": 2}
    assert plot.rows[1] == ("Conv #2", "Relu #3", "1x4x8x8", "conv1, strides=[1, 1]")


def test_edges_that_do_not_fall_are_left_out() -> None:
    nodes = [Node("a", "A"), Node("b", "B")]
    edges = [Edge("b", "a"), Edge("a", "a"), Edge("a", "none"), Edge("none", "b"), Edge("a", "b")]
    assert graph(nodes, edges).svg.count('class="way"') == 1


def test_names_are_text_and_no_more() -> None:
    nodes = [Node(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE), Node("b", "B")]
    reading = Reading(Page("t").figure(graph(nodes, [Edge(HOSTILE, "b", HOSTILE)])).to_html())
    assert "script" not in reading.tags
    assert reading.tags.count("svg") == 1


def test_a_graph_too_large_to_see_is_not_drawn() -> None:
    many = [Node(str(n), "Add") for n in range(MOST + 1)]
    assert undrawn(MOST) is None
    with pytest.raises(UsageError, match=f"of {MOST + 1} nodes"):
        graph(many, [])
    assert graph(many[:MOST], []).svg.count("<rect") == MOST + 1
    with pytest.raises(UsageError, match="no node"):
        graph([], [])


def test_without_the_library_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "fast_sugiyama" else real(name)
    )
    assert "without fast-sugiyama" in (undrawn(3) or "")


def test_every_kind_has_a_colour_and_every_operator_one_kind() -> None:
    styles = (ROOT / "onnxopt" / "page" / "templates" / "page.css").read_text("utf-8")
    for kind in (*range(len(FAMILIES)), END):
        assert f".family-{kind} {{ --family" in styles
    operators = [name for row in _TABLE.values() for name in row.split()]
    assert [name for name, times in Counter(operators).items() if times > 1] == []
    assert family("Conv") == FAMILIES[0]
    assert family("Frobnicate") == "other"
