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
from onnxopt.errors import BackendError
from onnxopt.measure import Effort, bench
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.records import Variant
from onnxopt.profiling import executed
from onnxopt.pruning.amounts import Widths
from onnxopt.pruning.candidates import Candidate
from onnxopt.pruning.choice import shrink
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

    def estimate(self, model: ir.Model, found: Sequence[Candidate]) -> Foretold:
        """Time every node at every width: groups that share no node shrink in the same run.

        Units of every group go from the last on, for times do not depend on which.
        """
        names = _Names(model)
        whole = names.folded(self._times(model))
        touched = {one.name: names.touched(one) for one in found}
        table: dict[str, dict[int, dict[str, float]]] = {one.name: {} for one in found}
        coloured = colours(touched)
        steps = max((len(one.widths) for one in found), default=1)
        for colour in range(COLOURS):
            part = [one for one in found if coloured[one.name] == colour]
            narrowed = any(one.widths[0] < one.group.units for one in part)
            for step in range(0 if narrowed else 1, steps) if part else ():
                self._progress("timing widths", colour * steps + step, COLOURS * steps)
                widths = {one.name: one.widths[min(step, len(one.widths) - 1)] for one in part}
                thin = model.clone()
                gone = {one.name: np.arange(widths[one.name], one.group.units) for one in part}
                shrink(thin, part, gone)
                now = names.folded(self._times(thin))
                for one in part:
                    name, width = one.name, widths[one.name]
                    if width < one.group.units:
                        table[name].setdefault(width, _ratios(touched[name], whole, now, width))
        total = sum(whole.values())
        return Foretold({node: each / total for node, each in whole.items()}, table)

    def _times(self, model: ir.Model) -> dict[str, float]:
        """Return the time of every node that runs, by the runtime's name of it."""
        times: dict[str, float] = {}
        for ran in executed(model, self._backend, [self._feeds] * RUNS):
            times[ran.node] = times.get(ran.node, 0.0) + ran.seconds
        return {name: each for name, each in times.items() if each > 0}


class _Names:
    """Which nodes of a model the nodes that run stand for, by the values that they compute.

    A runtime names what it joins after the last value or the first node; what has no name of its
    own was joined to a node that reads it.
    """

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._known: dict[str, str] = {}
        for node in model.graph:
            key = node.outputs[0].name or ""
            self._known |= {name: key for name in (node.name, key) if name}
        self._owner: dict[str, str] = {}

    def folded(self, times: Mapping[str, float]) -> dict[str, float]:
        """Add up times by the value that ends what ran; the first call says which values do."""
        keys = {name: self._key(name) for name in times}
        self._owner = self._owner or self._owners(set(keys.values()))
        found: dict[str, float] = {}
        for name, each in times.items():
            key = self._owner.get(keys[name], keys[name])
            found[key] = found.get(key, 0.0) + each
        return found

    def touched(self, one: Candidate) -> frozenset[str]:
        """Return the ends of what runs that reads or makes units, or goes when there are none."""
        nodes = {node for each in one.branches for node in each.nodes}
        for member in one.group.members:
            if member.node is not None:
                nodes.add(member.node)
                continue
            maker = member.value.producer()
            nodes |= {use.node for use in member.value.uses()}
            nodes |= set() if maker is None else {maker}
        keys = {node.outputs[0].name or "" for node in nodes}
        return frozenset(self._owner.get(key, key) for key in keys)

    def _key(self, label: str) -> str:
        """Return the value behind a label: the longest name that it begins with."""
        label = label.removeprefix("fused ")
        ends = [at for at in range(len(label), 0, -1) if not label[at : at + 1].isalnum()]
        found = next((label[:at] for at in ends if label[:at] in self._known), None)
        return label if found is None else self._known[found]

    def _owners(self, ends: set[str]) -> dict[str, str]:
        """Return for every value the next end that it leads to."""
        found: dict[str, str] = {}
        for node in reversed(self._graph):
            key = node.outputs[0].name or ""
            users = [use.node.outputs[0].name or "" for use in node.outputs[0].uses()]
            after = next((found[user] for user in users if user in found), key)
            found[key] = key if key in ends else after
        return found


def _ratios(
    touched: Iterable[str], whole: Mapping[str, float], now: Mapping[str, float], width: int
) -> dict[str, float]:
    """Return what is left of the times of nodes; of those without a time, all or nothing."""
    rest = 1.0 if width else 0.0
    known = [node for node in touched if node in whole]
    return {node: now[node] / whole[node] if node in now else rest for node in known}


def colours(touched: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """Give each group a colour so that those of one colour share few nodes; none if enough do."""
    taken: list[set[str]] = [set() for _ in range(COLOURS)]
    found = {}
    for name, nodes in touched.items():
        best = min(range(COLOURS), key=lambda colour: (len(taken[colour] & nodes), colour))
        taken[best] |= nodes
        found[name] = best
    return found
