"""The cheapest way to part things into two kinds, where neighbours of other kinds cost as well."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Mapping

Edge = tuple[int, int, float]


def cheapest(
    first: Mapping[int, float], second: Mapping[int, float], edges: Iterable[Edge]
) -> set[int]:
    """Return which things are of the first kind in the partition of least cost.

    ``first`` and ``second`` are the costs, not below zero, of each thing as one kind or the other;
    an edge's cost is added where its ends are of different kinds. That is a minimum cut between
    two terminals: found by augmenting along shortest paths (Edmonds and Karp 1972). Of several
    cheapest the one with the fewest of the first kind.
    """
    network = _Network()
    for thing, cost in second.items():
        network.add(_FIRST, thing, cost, 0.0)
    for thing, cost in first.items():
        network.add(thing, _SECOND, cost, 0.0)
    for one, other, cost in edges:
        network.add(one, other, cost, cost)
    while path := network.path():
        network.push(path)
    return network.reached() & first.keys()


_FIRST, _SECOND = -1, -2


class _Network:
    def __init__(self) -> None:
        self._room: dict[int, dict[int, float]] = collections.defaultdict(dict)

    def add(self, one: int, other: int, there: float, back: float) -> None:
        self._room[one][other] = self._room[one].get(other, 0.0) + there
        self._room[other][one] = self._room[other].get(one, 0.0) + back

    def _search(self) -> dict[int, int]:
        """Return from where each node that has a way from the first terminal was reached."""
        came = {_FIRST: _FIRST}
        queue = collections.deque([_FIRST])
        while queue and _SECOND not in came:
            node = queue.popleft()
            for after, room in self._room[node].items():
                if room > 0 and after not in came:
                    came[after] = node
                    queue.append(after)
        return came

    def path(self) -> list[tuple[int, int]]:
        came = self._search()
        found: list[tuple[int, int]] = []
        node = _SECOND
        while node in came and node != _FIRST:
            found.append((came[node], node))
            node = came[node]
        return found

    def push(self, path: list[tuple[int, int]]) -> None:
        room = min((self._room[a][b] for a, b in path), default=math.inf)
        for a, b in path:
            self._room[a][b] = 0.0 if self._room[a][b] == room else self._room[a][b] - room
            self._room[b][a] += room

    def reached(self) -> set[int]:
        return set(self._search())
