"""What each node that ran had to do: the multiply-accumulates of the nodes that it stands for."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import onnx_ir as ir

from onnxopt.costs import Costs, NodeCost
from onnxopt.graph import dims
from onnxopt.io import load
from onnxopt.profiling.fusion import Origins, origins
from onnxopt.profiling.regions import Step, steps
from onnxopt.profiling.tally import NodeTally
from onnxopt.target import Feeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graphs:
    """A model, the graph that its runtime made of it, and what became of what."""

    executed: Sequence[Step]
    origins: Origins
    costs: Sequence[tuple[int, Mapping[ir.Node, NodeCost]]]
    """What nodes cost at each set of sizes that feeds have, and how many feeds have it."""

    @classmethod
    def of(cls, model: Path, executed: Path, feeds: Sequence[Feeds]) -> Self:
        """Read both, and count at the sizes of the feeds.

        Raises ModelError where one cannot be read.
        """
        given = load(model)
        counts = collections.Counter(tuple(sorted(sizes_of(given, f).items())) for f in feeds)
        found: list[tuple[int, Mapping[ir.Node, NodeCost]]] = []
        for sizes, count in counts.items():
            costs = Costs.of(given, dict(sizes))
            given = costs.model  # its functions are inlined, so that the nodes stay the same
            found.append((count, {row.node: row for row in costs.rows}))
        ran = steps(load(executed))
        return cls(executed=ran, origins=origins(steps(given), ran), costs=found)

    def macs(self, step: Step) -> float | None:
        """Return the multiply-accumulates a run, in the mean over the feeds; None if not known."""
        parts = self.origins.of[step]
        return self._mean([_sum(rows[p.node].macs for p in parts) for _, rows in self.costs])

    def moved(self, step: Step) -> float | None:
        """Return the bytes a run of a node that the runtime left as it was; None for others."""
        parts = self.origins.of[step]
        if len(parts) != 1 or parts[0].op_type != step.op_type:
            return None
        costs = [rows[parts[0].node] for _, rows in self.costs]
        return self._mean([_sum((cost.read_bytes, cost.written_bytes)) for cost in costs])

    def _mean(self, amounts: Sequence[float | None]) -> float | None:
        """Return the mean over the feeds of an amount at each set of sizes."""
        total, feeds = 0.0, sum(count for count, _ in self.costs)
        for amount, (count, _) in zip(amounts, self.costs, strict=True):
            if amount is None:
                return None
            total += amount * count
        return total / feeds


def _sum(amounts: Iterable[object]) -> float | None:
    """Return the sum of numbers, None where one of them is not known or has a free extent."""
    total = 0
    for amount in amounts:
        if not isinstance(amount, int):
            return None
        total += amount
    return total


def sizes_of(model: ir.Model, feeds: Feeds) -> dict[str, int]:
    """Return the extents that feeds give to a model's inputs, by name or as ``input:axis``."""
    sizes: dict[str, int] = {}
    for value in model.graph.inputs:
        array = feeds.get(value.name or "")
        shape = dims(value)
        if array is None or shape is None or len(shape) != array.ndim:
            continue
        for axis, (dim, size) in enumerate(zip(shape, array.shape, strict=True)):
            if isinstance(dim, str):
                sizes[dim] = size
            elif dim is None:
                sizes[f"{value.name}:{axis}"] = size
    return sizes


def placed(nodes: Sequence[NodeTally], executed: Sequence[Step]) -> list[Step | None]:
    """Find each node that was recorded in the graph that ran.

    The runtime runs a graph in the order of its file; nodes inside others go by their names.
    """
    outer = [step for step in executed if step.depth == 0]
    ran = [node for node in nodes if node.depth == 0]
    in_order = [step.op_type for step in outer] == [node.op_type for node in ran]
    queue = iter(outer)
    known: dict[tuple[str, str], Step | None] = {}
    for step in executed:
        twice = (step.name, step.op_type) in known
        known[step.name, step.op_type] = None if twice else step
    return [
        next(queue) if in_order and node.depth == 0 else known.get((node.node, node.op_type))
        for node in nodes
    ]
