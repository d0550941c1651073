"""What a runtime's profiler adds to the time of a node: measured on chains of nodes with no work.

The profiler writes down types and shapes of a node's inputs and outputs while its clock runs. A
chain of additions of one element takes next to nothing without it; what is recorded of each one is
the charge. Chains with few and many tensors, of one axis and of several, tell its parts apart.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxopt.profiling.tally import NodeTally, tally
from onnxopt.target import Backend, Feeds, Session

_LENGTH = 128
_RUNS = 80
_WARM = 40
_CHAINS = ((2, 1), (2, 6), (8, 1), (8, 6))
"""Inputs of each node and their axes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Charge:
    """Seconds that recording adds: to the time of a node, while its clock runs, and after it."""

    node_s: float = 0.0
    """For each node, while its clock runs."""
    tensor_s: float = 0.0
    """For each input and output."""
    axis_s: float = 0.0
    """For each axis of each of them."""
    after_s: float = 0.0
    """For each node, between its time and the next one's."""
    least_s: float = 0.0
    """What the runtime takes for a node with no work, without recording."""

    @classmethod
    def from_dict(cls, read: Mapping[str, float]) -> Charge:
        """Make it of what holds its fields, and maybe more."""
        return cls(**{field.name: read[field.name] for field in dataclasses.fields(cls)})

    @property
    def typical_s(self) -> float:
        """What is added to the time of a node with three tensors of two axes."""
        return self.node_s + 3 * self.tensor_s + 6 * self.axis_s

    def of(self, node: NodeTally) -> float:
        """Return what to take off the recorded time of a node, in seconds a run.

        A node with subgraphs also bears what lies between the nodes inside.
        """
        each = self.node_s + self.tensor_s * node.tensors + self.axis_s * node.axes
        return node.count * each + node.inner * self.after_s


def charge(backend: Backend, folder: Path) -> Charge:
    """Measure the charge of a target's profiler on this machine, in about a second.

    A profiler that tells no tensors looks at none, and is taken to charge nothing.
    """
    if not _tells_tensors(backend, folder):
        return Charge()
    rows, added, after, least = [], [], [], []
    for inputs, axes in _CHAINS:
        model, feeds = _chain(inputs, axes)
        with backend.open(model) as plain:
            bare = _run_time(plain, feeds)
        with backend.recording(folder).open(model) as session:
            whole = _run_time(session, feeds)
            nodes = tally(session.recorded(), [range(_WARM, _WARM + _RUNS)], 1)
        recorded = statistics.fmean(node.blocks[0] for node in nodes)
        rows.append([1.0, nodes[0].tensors, nodes[0].axes])
        added.append(recorded - bare)
        after.append(whole - recorded)
        least.append(bare)
    parts = np.linalg.lstsq(np.array(rows), np.array(added), rcond=None)[0]
    node_s, tensor_s, axis_s = (max(float(part), 0.0) for part in parts)
    return Charge(
        node_s=node_s,
        tensor_s=tensor_s,
        axis_s=axis_s,
        after_s=max(statistics.fmean(after), 0.0),
        least_s=min(least),
    )


def _tells_tensors(backend: Backend, folder: Path) -> bool:
    model, feeds = _chain(2, 1, length=1)
    with backend.recording(folder).open(model) as session:
        session.run(feeds)
        return any(node.inputs for run in session.recorded() for node in run.nodes)


def _chain(inputs: int, axes: int, length: int = _LENGTH) -> tuple[ir.Model, Feeds]:
    """Make a model that adds one element again and again, and what to feed it."""
    kind, shape = ir.TensorType(ir.DataType.FLOAT), [1] * axes
    x = ir.Value(name="x", type=kind, shape=ir.Shape(shape))
    value, nodes = x, []
    for at in range(length):
        node = ir.Node("", "Sum", [value, *[x] * (inputs - 1)], name=f"node_{at}", num_outputs=1)
        value = node.outputs[0]
        value.name, value.type, value.shape = f"sum_{at}", kind, ir.Shape(shape)
        nodes.append(node)
    graph = ir.Graph([x], [value], nodes=nodes, opset_imports={"": 13}, name="chain")
    return ir.Model(graph, ir_version=8), {"x": np.zeros(shape, np.float32)}


def _run_time(session: Session, feeds: Feeds) -> float:
    """Return the time of a run, divided by the nodes of a chain."""
    times = []
    for _ in range(_WARM + _RUNS):
        start = time.perf_counter()
        session.run(feeds)
        times.append(time.perf_counter() - start)
    return statistics.median(times[_WARM:]) / _LENGTH
