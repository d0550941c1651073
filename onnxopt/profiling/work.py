"""What each node that ran had to do: the multiply-accumulates of the nodes that it stands for."""

from __future__ import annotations

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
    costs: Mapping[ir.Node, NodeCost]

    @classmethod
    def of(cls, model: Path, executed: Path, feeds: Feeds) -> Self:
        """Read both, and count at the sizes of the feeds.

        Raises ModelError where one cannot be read.
        """
        given = load(model)
        costs = Costs.of(given, sizes_of(given, feeds))
        ran = steps(load(executed))
        return cls(
            executed=ran,
            origins=origins(steps(costs.model), ran),
            costs={row.node: row for row in costs.rows},
        )

    def macs(self, step: Step) -> float | None:
        """Return the multiply-accumulates a run; None where some part is not known."""
        return _sum(self._cost(part).macs for part in self.origins.of[step])

    def moved(self, step: Step) -> float | None:
        """Return the bytes a run of a node that the runtime left as it was; None for others."""
        parts = self.origins.of[step]
        if len(parts) != 1 or parts[0].op_type != step.op_type:
            return None
        cost = self._cost(parts[0])
        return _sum((cost.read_bytes, cost.written_bytes))

    def _cost(self, part: Step) -> NodeCost:
        return self.costs[part.node]


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
