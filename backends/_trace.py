"""Read what ONNX Runtime's profiler writes, one run of the model at a time.

The file is a list of events in Chrome's trace format, one a line, in the order in which they ended:
a node's event comes before that of the node whose subgraph it is in, the nodes of a run before the
run's own. Times are whole microseconds, cut off. Events of a device's kernels follow the node that
started them and bear its operator's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from onnxopt.errors import BackendError
from onnxopt.target import ModelRun, NodeRun, TensorRun

_KERNEL_TIME = "_kernel_time"
_EXECUTOR = "Executor::Execute"
_HOLDERS = frozenset(
    (
        *("If", "Loop", "Scan", "SequenceMap"),
        *("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"),
    )
)
"""Operators during whose time the nodes of their subgraphs run."""
_US = 1e-6


def read_trace(lines: Iterable[str]) -> Iterator[ModelRun]:
    """Yield the complete runs of a trace; what a crash cut off at the end is left out.

    Raises BackendError for what is no trace.
    """
    run = _Run()
    for event in _events(lines):
        kind, name = event.get("cat"), event.get("name")
        if not isinstance(name, str):
            raise BackendError("the runtime's trace holds an event without a name")
        if kind == "Node" and name.endswith(_KERNEL_TIME):
            run.node(event, name.removesuffix(_KERNEL_TIME))
        elif kind == "Kernel":
            run.kernel(event)
        elif name.endswith(_EXECUTOR):
            run.executor_s = _number(event, "dur") * _US
        elif name == "model_run":
            yield run.ended(_number(event, "dur") * _US)
            run = _Run()


def _events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the events; only the last line may be broken."""
    broken = False
    for line in lines:
        text = line.strip().rstrip(",")
        if text in ("", "[", "]"):
            continue
        if broken:
            raise BackendError("the runtime's trace cannot be read: a line in it is no JSON")
        try:
            event = json.loads(text.removeprefix("["))
        except ValueError:
            broken = True
            continue
        if not isinstance(event, dict):
            raise BackendError("the runtime's trace holds something other than events")
        yield event


class _Run:
    """The events of one run so far."""

    def __init__(self) -> None:
        self.executor_s = 0.0
        self._nodes: list[NodeRun] = []
        self._starts: list[float] = []

    def node(self, event: dict[str, Any], name: str) -> None:
        args = event.get("args")
        if not isinstance(args, dict):
            raise BackendError(f"the runtime's trace tells nothing about node '{name}'")
        start, seconds = _number(event, "ts"), _number(event, "dur") * _US
        operator = str(args.get("op_name", ""))
        found = NodeRun(
            node=name,
            op_type=operator,
            provider=str(args.get("provider", "")),
            index=_int(args, "node_index", -1),
            seconds=seconds,
            inputs=_tensors(args.get("input_type_shape")),
            outputs=_tensors(args.get("output_type_shape")),
            activation_bytes=_int(args, "activation_size", 0),
            weight_bytes=_int(args, "parameter_size", 0),
            output_bytes=_int(args, "output_size", 0),
        )
        if operator in _HOLDERS:
            self._adopt(found, start)
        self._nodes.append(found)
        self._starts.append(start)

    def _adopt(self, holder: NodeRun, start: float) -> None:
        """Take the time of the nodes that ran inside off the one that holds them."""
        at = len(self._nodes)
        while at and self._starts[at - 1] >= start:
            at -= 1
            holder.inner += self._nodes[at].depth == 0
            self._nodes[at].depth += 1
            holder.seconds -= self._nodes[at].seconds
        holder.seconds = max(holder.seconds, 0.0)

    def kernel(self, event: dict[str, Any]) -> None:
        args = event.get("args")
        operator = args.get("op_name") if isinstance(args, dict) else None
        for node in reversed(self._nodes):
            if operator in (None, node.op_type):
                node.device_seconds += _number(event, "dur") * _US
                return

    def ended(self, seconds: float) -> ModelRun:
        executor = self.executor_s or seconds
        return ModelRun(seconds=seconds, executor_seconds=executor, nodes=self._nodes)


def _number(event: dict[str, Any], key: str) -> float:
    value = event.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise BackendError(f"the runtime's trace holds an event whose '{key}' is no time: {value}")
    return float(value)


def _int(args: dict[str, Any], key: str, default: int) -> int:
    """Return a number that the trace holds as text."""
    value = args.get(key)
    return int(value) if isinstance(value, str) and value.isdecimal() else default


def _tensors(listed: Any) -> tuple[TensorRun, ...]:
    """Return what ``[{"float": [1, 3]}, …]`` says; what is no tensor is left out."""
    if not isinstance(listed, list):
        return ()
    return tuple(
        TensorRun(dtype, tuple(dims))
        for entry in listed
        if isinstance(entry, dict)
        for dtype, dims in entry.items()
        if isinstance(dims, list) and all(isinstance(dim, int) for dim in dims)
    )
