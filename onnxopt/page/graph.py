"""A graph drawn in layers, small enough to look at."""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from onnxopt.errors import UsageError
from onnxopt.page.families import FAMILIES, OTHER
from onnxopt.page.fill import environment
from onnxopt.page.layers import Layers, Place, layers
from onnxopt.page.plot import Plot, listed
from onnxopt.page.words import shorten

END = "end"
"""The kind of what is no operator: inputs and outputs."""

MOST = 150
"""Nodes beyond which nobody can see anything in a drawing."""

_WIDE, _HIGH = 124.0, 26.0
_COLUMN, _LAYER = 146.0, 62.0
_MARGIN = 12.0
_KEY_WIDE, _KEY, _KEYS = 182.0, 18.0, 4
"""Pixels: a box, the distances of boxes, the margin, an entry of the legend, and how many of those
a line has room for at least."""


class Node(NamedTuple):
    """One box."""

    key: str
    label: str
    """What stands in it: the operator."""
    kind: str = OTHER
    """One of the families of operators, which gives its colour; or ``END``."""
    note: str = ""
    """What stands below it: the shape of its output."""
    title: str = ""
    """What is told when the pointer rests on it: name, attributes, shapes."""


class Edge(NamedTuple):
    """A value that goes from one box to another."""

    source: str
    target: str
    title: str = ""


def undrawn(nodes: int) -> str | None:
    """Say why a graph of so many nodes is not drawn; None where it can be."""
    if nodes > MOST:
        return f"the graph is not drawn: of {nodes} nodes nobody sees anything, the most is {MOST}"
    if importlib.util.find_spec("fast_sugiyama") is None:
        return 'the graph is not drawn without fast-sugiyama: pip install "onnxopt[html]"'
    return None


def graph(nodes: Sequence[Node], edges: Sequence[Edge]) -> Plot:
    """Draw a graph in layers from top to bottom, values as curves that pass between the boxes.

    Layers, crossings and columns are those of K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual
    understanding of hierarchical system structures", IEEE Trans. SMC 11(2), 1981. Nodes come in an
    order in which every edge goes from an earlier one to a later one; others are not drawn. Raises
    UsageError where ``undrawn`` says why.
    """
    why = undrawn(len(nodes)) if nodes else "there is no node to draw"
    if why is not None:
        raise UsageError(why)
    number = {node.key: index for index, node in enumerate(nodes)}
    forward = [
        (number[edge.source], number[edge.target], edge.title)
        for edge in edges
        if number.get(edge.source, len(nodes)) < number.get(edge.target, -1)
    ]
    placed = layers(len(nodes), [(source, target) for source, target, _ in forward])
    return Plot(
        svg=_svg(nodes, [title for *_, title in forward], placed),
        alt=f"The graph, {len(nodes)} nodes from top to bottom; the table lists them in order.",
        header=("node", "feeds", "output", "about"),
        rows=tuple(_row(index, nodes, forward) for index in range(len(nodes))),
    )


def _row(
    index: int, nodes: Sequence[Node], edges: Sequence[tuple[int, int, str]]
) -> tuple[str, ...]:
    fed = [f"{nodes[target].label} #{target + 1}" for source, target, _ in edges if source == index]
    node = nodes[index]
    return (f"{node.label} #{index + 1}", listed(list(dict.fromkeys(fed))), node.note, node.title)


def _svg(nodes: Sequence[Node], titles: Sequence[str], placed: Layers) -> str:
    used = [kind for kind in FAMILIES if any(node.kind == kind for node in nodes)]
    drawn = (1 + max(place.column for place in placed.places)) * _COLUMN
    wide = max(drawn, _KEYS * _KEY_WIDE)
    keys = int(wide // _KEY_WIDE)
    top = 2 * _MARGIN + _KEY * math.ceil(len(used) / keys)
    high = top + (1 + max(place.layer for place in placed.places)) * _LAYER
    corner = _Corner(x=_MARGIN + (wide - drawn) / 2, y=top)
    boxes = [corner.box(node, place) for node, place in zip(nodes, placed.places, strict=True)]
    curves = [corner.curve(way, title) for way, title in zip(placed.routes, titles, strict=True)]
    return (
        environment()
        .get_template("graph.svg")
        .render(
            boxes=boxes,
            curves=curves,
            legend=[(FAMILIES.index(kind), kind) for kind in used],
            keys=keys,
            size=(wide + 2 * _MARGIN, high),
            box_size=(_WIDE, _HIGH),
            key=(_MARGIN, _KEY_WIDE, _KEY),
        )
    )


class _Corner(NamedTuple):
    """Where the drawing begins, in pixels."""

    x: float
    y: float

    def box(self, node: Node, place: Place) -> dict[str, object]:
        return {
            "x": self._across(place) - _WIDE / 2,
            "y": self._down(place),
            "kind": FAMILIES.index(node.kind) if node.kind in FAMILIES else END,
            "label": shorten(node.label, 17),
            "note": shorten(node.note, 20),
            "title": node.title or node.label,
        }

    def curve(self, way: Sequence[Place], title: str) -> dict[str, object]:
        """Return a way as cubic curves that fall straight through each layer it passes."""
        path = [f"M {self._across(way[0])} {self._down(way[0]) + _HIGH}"]
        for start, end in itertools.pairwise(way):
            middle = (self._down(start) + _HIGH + self._down(end)) / 2
            x = self._across(end)
            path.append(f"C {self._across(start)} {middle} {x} {middle} {x} {self._down(end)}")
            if end is not way[-1]:
                path.append(f"v {_HIGH}")
        x, y = self._across(way[-1]), self._down(way[-1])
        return {"path": " ".join(path), "x": x, "y": y, "title": title}

    def _across(self, place: Place) -> float:
        return round(self.x + (place.column + 0.5) * _COLUMN, 1)

    def _down(self, place: Place) -> float:
        return round(self.y + place.layer * _LAYER, 1)
