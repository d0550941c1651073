"""The nodes that a runtime really runs for a model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.host import allowed_cpus
from onnxopt.io import load, save
from onnxopt.measure.feeding import stored
from onnxopt.measure.process import Process
from onnxopt.profiling.fusion import origins
from onnxopt.profiling.record import WORKER
from onnxopt.profiling.regions import Step, steps
from onnxopt.profiling.tally import NodeTally
from onnxopt.profiling.work import placed
from onnxopt.target import EXECUTED, Backend, Feeds

_RUNS = 5


class Executed(NamedTuple):
    """A node that ran."""

    node: str
    op_type: str
    domain: str
    """'' also where the runtime does not write the graph that it runs."""
    provider: str
    seconds: float
    """A run of the model, the middle of a few; what recording adds is in it."""
    parts: tuple[str, ...] = ()
    """The values that the model's own nodes compute which it stands for."""
    output_bytes: float = 0.0


def executed(
    model: ir.Model | Path, backend: Backend, feeds: Sequence[Feeds], *, timeout_s: float = 120.0
) -> list[Executed]:
    """Run a model a few times in a process of its own; return the nodes that ran, in their order.

    The operators are those after the runtime's own optimization: what a quantized model became
    shows in them. Nodes in bodies of control flow stand before the node that holds them. Raises
    BackendError where the target cannot record, refuses the model or crashes on it.
    """
    with tempfile.TemporaryDirectory(prefix="onnxopt-") as name, stored(feeds) as path:
        folder = Path(name)
        if isinstance(model, ir.Model):
            file = folder / "model.onnx"
            save(model, file)
        else:
            file = model
        with Process(WORKER) as process:
            process.ready(timeout_s)
            process.open(file, backend.recording(folder), allowed_cpus(), timeout_s)
            process.feed(path, timeout_s)
            process.ask({"do": "record", "runs": _RUNS * len(feeds)}, timeout_s)
            found = process.ask({"do": "collect"}, timeout_s)
        nodes = [NodeTally.from_dict(node) for node in found["nodes"]]
        graph = _graph(folder / EXECUTED)
        parts = origins(_graph(file), graph).of if graph else {}
        return [
            _line(node, step, parts.get(step, ()) if step else ())
            for node, step in zip(nodes, placed(nodes, graph), strict=True)
        ]


def _graph(path: Path) -> list[Step]:
    try:
        return steps(load(path)) if path.exists() else []
    except ModelError:
        return []


def _line(node: NodeTally, step: Step | None, parts: Sequence[Step]) -> Executed:
    return Executed(
        node=(step and step.name) or node.node,
        op_type=node.op_type,
        domain=step.domain if step else "",
        provider=node.provider,
        seconds=node.blocks[0] if node.blocks else 0.0,
        parts=tuple(name for part in parts for name in part.outputs),
        output_bytes=node.output_bytes,
    )
