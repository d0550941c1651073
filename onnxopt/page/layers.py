"""Where the boxes of a layered drawing go, and the ways between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

_BEND = 0.2
"""Columns that a way takes where it passes between boxes."""
_ROW = 8
"""Boxes side by side where nothing connects them."""


class Place(NamedTuple):
    """The middle of a box, or a point that a way passes, in columns and layers from the top."""

    column: float
    layer: float


class _Part(NamedTuple):
    """Nodes that hang together; the points that ways pass are numbered after all nodes."""

    places: dict[int, Place]
    edges: list[tuple[int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layers:
    """A layout: the place of each node, and for each edge its points from source to target."""

    places: tuple[Place, ...]
    routes: tuple[tuple[Place, ...], ...]


def layers(count: int, edges: Sequence[tuple[int, int]]) -> Layers:
    """Place the nodes 0 to ``count`` - 1 so that every edge, from a lower to a higher one, falls.

    Parts that nothing connects stand side by side, single nodes in rows below.
    """
    connected = sorted({node for edge in edges for node in edge})
    order = {node: index for index, node in enumerate(connected)}
    places: dict[int, Place] = {}
    routes: dict[tuple[int, int], tuple[Place, ...]] = {}
    for part in _parts({(order[source], order[target]) for source, target in edges}):
        for node, place in part.places.items():
            if node < len(connected):
                places[connected[node]] = place
        for way in _ways(part.edges, len(connected)):
            ends = (connected[way[0]], connected[way[-1]])
            routes[ends] = tuple(part.places[node] for node in way)
    below = 1 + max((place.layer for place in places.values()), default=-1.0)
    for index, node in enumerate(node for node in range(count) if node not in places):
        places[node] = Place(index % _ROW, below + index // _ROW)
    return Layers(
        places=tuple(places[node] for node in range(count)),
        routes=tuple(routes[edge] for edge in edges),
    )


def _parts(edges: set[tuple[int, int]]) -> list[_Part]:
    """Lay out each connected part; return them from left to right in the order of their nodes.

    The library ends the process on a cycle: edges go from lower to higher numbers only.
    """
    from fast_sugiyama import from_edges

    if not edges:
        return []
    found = from_edges(
        sorted(edges),
        vertex_spacing=1.0,
        dummy_vertices=True,
        dummy_size=_BEND,
        ranking_type="minimize",
    )
    parts, left = [], 0.0
    for positions, _, _, ways in sorted(found, key=lambda part: min(node for node, _ in part[0])):
        top = max(y for _, (_, y) in positions)
        first = min(x for _, (x, _) in positions)
        places = {int(node): Place(left + x - first, top - y) for node, (x, y) in positions}
        parts.append(_Part(places, [(int(a), int(b)) for a, b in ways or ()]))
        left = 1 + max(place.column for place in places.values())
    return parts


def _ways(edges: Sequence[tuple[int, int]], count: int) -> list[list[int]]:
    """Join edges over the points between boxes, numbered from ``count`` on, to whole ways."""
    after = {source: target for source, target in edges if source >= count}
    ways = []
    for source, target in edges:
        if source < count:
            way = [source, target]
            while way[-1] >= count:
                way.append(after[way[-1]])
            ways.append(way)
    return ways
