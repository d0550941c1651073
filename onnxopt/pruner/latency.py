"""Latency as an amount that is to fall: foretold from times of nodes, confirmed by measuring."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import onnx_ir as ir

from onnxopt import io
from onnxopt.base import Progress
from onnxopt.coupling import Group, cut
from onnxopt.errors import BackendError
from onnxopt.measure import Effort, bench
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.records import Variant
from onnxopt.profiling import executed
from onnxopt.pruning.amounts import Widths
from onnxopt.target import Backend, Feeds

RUNS = 6
"""Times that every feed is run for a table; the profiler takes the middle of five times as many."""
BUDGET_S = 10.0
"""For each measurement of a model against the one given."""
COLOURS = 3

Table = Mapping[str, Mapping[int, Mapping[str, float]]]
"""By group, width and node: its time over that in the whole model."""


@dataclasses.dataclass(frozen=True)
class Foretold:
    """Times of nodes, each multiplied by what the widths of its groups make of it."""

    times: Mapping[str, float]
    """The share of the whole that each node takes."""
    table: Table

    def total(self, widths: Widths) -> float:
        """Return the latency over that of the whole model."""
        found = dict(self.times)
        for name, width in widths.items():
            for node, ratio in self.table.get(name, {}).get(width, {}).items():
                found[node] *= ratio
        return sum(found.values())


class Timed:
    """Latency over that of a model, on a backend; a context manager, for it keeps files."""

    def __init__(
        self, model: ir.Model, backend: Backend, feeds: Feeds, seed: int, progress: Progress
    ) -> None:
        self._graph, self._backend, self._feeds = model.graph, backend, feeds
        self._seed, self._progress = seed, progress
        self._folder = tempfile.TemporaryDirectory(prefix="onnxopt-")
        self._path = Path(self._folder.name)
        io.save(model, self._path / "whole.onnx")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def measured(self, model: ir.Model) -> float:
        """Measure a model side by side with the whole one."""
        return 1.0 if model.graph is self._graph else self.ratio(model).value

    def ratio(self, model: ir.Model) -> Estimate:
        """Return latency over that of the whole model, with its interval.

        Raises BackendError where one of them fails.
        """
        self._progress("measuring", 0, None)
        io.save(model, self._path / "thin.onnx")
        variants = [
            Variant(label=name, model=self._path / f"{name}.onnx", backend=self._backend)
            for name in ("whole", "thin")
        ]
        effort = Effort(budget_s=BUDGET_S)
        found = bench(variants, feeds=[self._feeds], effort=effort, seed=self._seed)
        row = found.rows[1]
        if row.ratio is None:
            raise BackendError(f"latency could not be measured: {row.error or row.verdict}")
        return row.ratio

    def estimate(self, model: ir.Model, groups: Sequence[tuple[Group, Sequence[int]]]) -> Foretold:
        """Time every node at every width: groups that share no node shrink in the same run.

        Units of every group go from the last on, for times do not depend on which.
        """
        nodes = {node.name for node in model.graph if node.name}
        whole = self._times(model, nodes)
        touched = {group.name: _touched(group) for group, _ in groups}
        table: dict[str, dict[int, dict[str, float]]] = {group.name: {} for group, _ in groups}
        coloured = colours(touched)
        steps = max((len(widths) for _, widths in groups), default=1)
        for colour in range(COLOURS):
            part = [(g, w) for g, w in groups if coloured[g.name] == colour]
            for step in range(1, steps) if part else ():
                self._progress("timing widths", colour * steps + step, COLOURS * steps)
                widths = {g.name: w[min(step, len(w) - 1)] for g, w in part}
                thin = model.clone()
                cut(thin, {name: np.arange(width) for name, width in widths.items()})
                found = self._times(thin, nodes)
                for name, width in widths.items():
                    shared = touched[name] & whole.keys() & found.keys()
                    ratios = {node: found[node] / whole[node] for node in shared}
                    table[name].setdefault(width, ratios)
        total = sum(whole.values())
        return Foretold({node: each / total for node, each in whole.items()}, table)

    def _times(self, model: ir.Model, nodes: Iterable[str]) -> dict[str, float]:
        """Return the time of every node that runs, by the name of the node that it stands for."""
        known = sorted(nodes, key=len, reverse=True)
        times: dict[str, float] = {}
        for ran in executed(model, self._backend, [self._feeds] * RUNS):
            name = next((name for name in known if name in ran.node), ran.node)
            times[name] = times.get(name, 0.0) + ran.seconds
        return {name: each for name, each in times.items() if each > 0}


def _touched(group: Group) -> frozenset[str]:
    """Return the names of the nodes that read or make tensors of a group."""
    found: set[str] = set()
    for member in group.members:
        if member.node is not None:
            found.add(member.node.name or "")
            continue
        maker = member.value.producer()
        found |= {use.node.name or "" for use in member.value.uses()}
        found |= set() if maker is None else {maker.name or ""}
    return frozenset(found - {""})


def colours(touched: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """Give each group a colour so that those of one colour share few nodes; none if enough do."""
    taken: list[set[str]] = [set() for _ in range(COLOURS)]
    found = {}
    for name, nodes in touched.items():
        best = min(range(COLOURS), key=lambda colour: (len(taken[colour] & nodes), colour))
        taken[best] |= nodes
        found[name] = best
    return found
