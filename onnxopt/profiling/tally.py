"""From recorded runs to one line a node: how long it takes, over blocks of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from onnxopt.measure.intervals import middle
from onnxopt.target import ModelRun, NodeRun, TensorRun


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeTally:
    """What was recorded of one node, in seconds a run of the model."""

    node: str
    op_type: str
    provider: str
    depth: int
    count: float
    """Executions a run: more than one in a loop, less in a branch that is not always taken."""
    inner: float
    """Nodes that ran directly inside it, a run."""
    blocks: list[float]
    """The middle over the runs of each block; the mean over samples."""
    device: list[float]
    """The same for the kernels on a device."""
    inputs: tuple[TensorRun, ...]
    outputs: tuple[TensorRun, ...]
    activation_bytes: int
    weight_bytes: int
    output_bytes: int

    @property
    def tensors(self) -> int:
        """Inputs and outputs that are there."""
        return len(self.inputs) + len(self.outputs)

    @property
    def axes(self) -> int:
        """Axes of all of them."""
        return sum(len(tensor.shape) for tensor in (*self.inputs, *self.outputs))

    @classmethod
    def from_dict(cls, read: dict[str, Any]) -> NodeTally:
        """Make it of what ``dataclasses.asdict`` and JSON have made of another."""
        tensors = {
            side: tuple(TensorRun(dtype, tuple(shape)) for dtype, shape in read[side])
            for side in ("inputs", "outputs")
        }
        return cls(**{**read, **tensors})


Key = tuple[int, int, str, str, str]


class _Times:
    """Times of one node in the runs that count."""

    def __init__(self, first: NodeRun) -> None:
        self.first = first
        self.count = self.inner = 0
        self.seconds: dict[int, float] = {}
        self.device: dict[int, float] = {}

    def add(self, run: int, seen: NodeRun) -> None:
        self.count += 1
        self.inner += seen.inner
        self.seconds[run] = self.seconds.get(run, 0.0) + seen.seconds
        self.device[run] = self.device.get(run, 0.0) + seen.device_seconds


def tally(
    runs: Iterable[ModelRun], blocks: Sequence[Sequence[int]], samples: int
) -> list[NodeTally]:
    """Sum up the nodes of the runs with the numbers in ``blocks``; all others were for warming up.

    Block by block the runs go round in ``samples`` sets of feeds. Runs that the recording has lost
    are left out.
    """
    wanted = {run for block in blocks for run in block}
    found: dict[Key, _Times] = {}
    seen_runs: set[int] = set()
    for number, run in enumerate(runs):
        if number not in wanted:
            continue
        seen_runs.add(number)
        for seen in run.nodes:
            key = (seen.depth, seen.index, seen.node, seen.op_type, seen.provider)
            if key not in found:
                found[key] = _Times(seen)
            found[key].add(number, seen)
    there = [[run for run in block if run in seen_runs] for block in blocks]
    there = [block for block in there if len(block) >= samples]
    return [_node(times, there, samples, len(seen_runs)) for times in found.values()]


def _node(times: _Times, blocks: Sequence[Sequence[int]], samples: int, runs: int) -> NodeTally:
    first = times.first
    return NodeTally(
        node=first.node,
        op_type=first.op_type,
        provider=first.provider,
        depth=first.depth,
        count=times.count / runs,
        inner=times.inner / runs,
        blocks=_middles(times.seconds, blocks, samples),
        device=_middles(times.device, blocks, samples) if any(times.device.values()) else [],
        inputs=first.inputs,
        outputs=first.outputs,
        activation_bytes=first.activation_bytes,
        weight_bytes=first.weight_bytes,
        output_bytes=first.output_bytes,
    )


def _middles(times: dict[int, float], blocks: Sequence[Sequence[int]], samples: int) -> list[float]:
    """Return the middle of each block: for each sample by itself, then the mean over samples."""
    found = []
    for block in blocks:
        row = np.array([times.get(run, 0.0) for run in block[: len(block) // samples * samples]])
        found.append(float(middle(row.reshape(-1, samples).T).mean()))
    return found
