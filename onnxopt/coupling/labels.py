"""Which positions on which axes belong together: labels, and classes of labels that merge."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
import onnx_ir as ir


class Fixed(NamedTuple):
    """An axis of which no position may go, and why."""

    reason: str


Axis: TypeAlias = np.ndarray | Fixed
"""The label of every position of an axis; those with one label leave together or stay together.

Along an axis of unknown extent the labels repeat: position ``i`` has label ``i mod len``.
"""
Axes: TypeAlias = tuple[Axis, ...]


class Labels:
    """Hands out labels and merges them; of merged labels the oldest stands for all."""

    def __init__(self) -> None:
        self._parent = np.arange(1024)
        self._count = 0
        self._starts: list[int] = []
        self._makers: list[ir.Node] = []
        self._pins: list[tuple[np.ndarray, str]] = []

    def __len__(self) -> int:
        return self._count

    def fresh(self, count: int, maker: ir.Node) -> np.ndarray:
        """Return labels that nothing has yet."""
        start, end = self._count, self._count + count
        while end > len(self._parent):
            more = np.arange(len(self._parent), 2 * len(self._parent))
            self._parent = np.concatenate((self._parent, more))
        self._starts.append(start)
        self._makers.append(maker)
        self._count = end
        return np.arange(start, end)

    def maker(self, label: int) -> ir.Node:
        """Return the node for which a label was made."""
        return self._makers[int(np.searchsorted(self._starts, label, side="right")) - 1]

    def roots(self, labels: np.ndarray) -> np.ndarray:
        """Return the label that stands for the class of each label."""
        found: np.ndarray = self._parent[labels]
        while True:
            above = self._parent[found]
            if np.array_equal(above, found):
                self._parent[labels] = found
                return found
            found = above

    def merge(self, one: np.ndarray, other: np.ndarray) -> None:
        """Let labels belong together, pair by pair."""
        pairs = np.stack((one, other))
        while pairs.size:
            pairs = self.roots(pairs)
            low, high = np.sort(pairs[:, pairs[0] != pairs[1]], axis=0)
            np.minimum.at(self._parent, high, low)
            pairs = np.stack((low, high))

    def pin(self, labels: np.ndarray, reason: str) -> None:
        """Keep the positions of these labels."""
        self._pins.append((labels, reason))

    def pinned(self) -> dict[int, str]:
        """Return why labels that stand for a class have to stay: the first reason that came up."""
        found: dict[int, str] = {}
        for labels, reason in self._pins:
            for root in np.unique(self.roots(labels)).tolist():
                found.setdefault(root, reason)
        return found


def common(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeat labels of two axes until both are equally long."""
    length = math.lcm(len(one), len(other))
    return np.resize(one, length), np.resize(other, length)
