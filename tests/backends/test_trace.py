"""Reading traces: one that ONNX Runtime wrote, and any that it might."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxopt.backends._trace import read_trace
from onnxopt.errors import BackendError
from onnxopt.target import ModelRun, NodeRun, TensorRun

RECORDED = Path(__file__).with_name("recorded.json")
"""Two runs of Relu, an If with Abs and Neg in the branch taken, and Add; ONNX Runtime 1.31.1."""


def test_a_recorded_trace() -> None:
    with RECORDED.open(encoding="utf-8") as file:
        runs = list(read_trace(file))
    events = json.loads(RECORDED.read_text("utf-8"))
    whole = [event["dur"] * 1e-6 for event in events if event["name"] == "model_run"]
    assert [run.seconds for run in runs] == whole
    for run in runs:
        assert [node.op_type for node in run.nodes] == ["Relu", "Abs", "Neg", "If", "Add"]
        assert [node.depth for node in run.nodes] == [0, 1, 1, 0, 0]
        assert [node.inner for node in run.nodes] == [0, 0, 0, 2, 0]
        assert sum(node.seconds for node in run.nodes) <= run.executor_seconds <= run.seconds
    relu = runs[0].nodes[0]
    assert relu.inputs == relu.outputs == (TensorRun("float", (2, 3)),)
    assert (relu.provider, relu.index, relu.output_bytes) == ("CPUExecutionProvider", 0, 24)
    held = [event for event in events if event["args"].get("op_name") in ("If", "Abs", "Neg")]
    spans = {event["args"]["op_name"]: event["dur"] * 1e-6 for event in held[3:]}
    assert runs[1].nodes[3].seconds == pytest.approx(spans["If"] - spans["Abs"] - spans["Neg"])


def event(kind: str, name: str, ts: int, dur: int, **args: object) -> str:
    fields = {"cat": kind, "pid": 1, "tid": 1, "dur": dur, "ts": ts, "ph": "X", "name": name}
    return json.dumps({**fields, "args": args})


def node(name: str, op_type: str, ts: int, dur: int) -> str:
    return event("Node", f"{name}_kernel_time", ts, dur, op_name=op_type, provider="P")


def trace(events: list[str]) -> list[str]:
    return ["[\n", *(f"{line},\n" for line in events[:-1]), *events[-1:], "\n]\n"]


def test_kernels_of_a_device_go_to_the_node_before_them() -> None:
    events = [
        event("Node", "a_fence_before", 1, 1, op_name="Add"),
        node("a", "Add", 2, 3),
        event("Kernel", "BinaryElementWise", 9, 4, op_name="Add", stream="7"),
        event("Kernel", "Another", 13, 2, op_name="Add", stream="7"),
        node("m", "MatMul", 6, 5),
        event("Kernel", "sgemm", 15, 40, op_name="MatMul", stream="7"),
        event("Session", "model_run", 0, 60),
    ]
    (run,) = read_trace(trace(events))
    assert [each.node for each in run.nodes] == ["a", "m"]
    assert [each.device_seconds for each in run.nodes] == pytest.approx([6e-6, 40e-6])
    assert run.executor_seconds == run.seconds == pytest.approx(60e-6)


def test_nested_bodies_are_taken_off_once() -> None:
    events = [
        node("inner", "Abs", 12, 5),
        node("held", "If", 11, 8),
        node("beside", "Neg", 20, 4),
        node("holder", "Loop", 10, 20),
        event("Session", "model_run", 9, 25),
    ]
    (run,) = read_trace(trace(events))
    found = {each.node: (each.depth, each.inner, round(each.seconds * 1e6)) for each in run.nodes}
    assert found == {
        "inner": (2, 0, 5),
        "held": (1, 1, 3),
        "beside": (1, 0, 4),
        "holder": (0, 2, 8),
    }
    assert sum(each.seconds for each in run.nodes) == pytest.approx(20e-6)


names = st.text(st.characters(codec="utf-8"), max_size=8)
amounts = st.integers(0, 10**6)
shapes = st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=3)


@st.composite
def recorded_runs(draw: st.DrawFn) -> tuple[list[str], list[tuple[int, list[tuple[str, int]]]]]:
    lines, runs, clock = [], [], 0
    for _ in range(draw(st.integers(0, 4))):
        nodes = []
        for _ in range(draw(st.integers(0, 4))):
            name, took, dims = draw(names), draw(amounts), draw(shapes)
            tensors = [{"float": shape} for shape in dims]
            args = {"op_name": "Add", "provider": "P", "input_type_shape": tensors}
            lines.append(event("Node", f"{name}_kernel_time", clock, took, **args))
            nodes.append((name, took))
            clock += took
        whole = draw(amounts)
        lines.append(event("Session", "SequentialExecutor::Execute", 0, whole))
        lines.append(event("Session", "model_run", 0, whole))
        runs.append((whole, nodes))
    return lines, runs


def told(runs: list[ModelRun]) -> list[tuple[int, list[tuple[str, int]]]]:
    return [
        (round(run.seconds * 1e6), [(each.node, round(each.seconds * 1e6)) for each in run.nodes])
        for run in runs
    ]


@given(recorded_runs())
def test_what_was_written_is_read(
    drawn: tuple[list[str], list[tuple[int, list[tuple[str, int]]]]],
) -> None:
    lines, runs = drawn
    assert told(list(read_trace(trace(lines)))) == runs


@given(recorded_runs(), st.integers(0, 4000))
def test_of_a_trace_that_was_cut_off_the_complete_runs_are_read(
    drawn: tuple[list[str], list[tuple[int, list[tuple[str, int]]]]], length: int
) -> None:
    lines, runs = drawn
    text = "".join(trace(lines))[:length]
    found = told(list(read_trace(text.split("\n"))))
    assert found == runs[: len(found)]
    complete = text.count('"model_run", "args": {}}')
    assert len(found) == complete


@given(st.lists(st.text(max_size=40) | recorded_runs().map(lambda drawn: "\n".join(drawn[0]))))
def test_anything_else_is_an_error_and_no_crash(parts: list[str]) -> None:
    runs: list[ModelRun] = []
    with contextlib.suppress(BackendError):
        runs = list(read_trace("\n".join(parts).split("\n")))
    assert all(isinstance(each, NodeRun) for run in runs for each in run.nodes)


@pytest.mark.parametrize(
    "line",
    [
        '{"cat": "Node", "name": "x_kernel_time"}',
        '{"cat": "Node", "name": 7, "args": {}}',
        '{"cat": "Node", "name": "x_kernel_time", "ts": "now", "dur": 1, "args": {}}',
        '{"cat": "Session", "name": "model_run", "dur": -1}',
        '{"cat": "Session", "name": "model_run", "dur": NaN}',
        '{"cat": "Session", "name": "model_run", "dur": true}',
        "17",
        "{\n{}",
    ],
)
def test_malformed_events(line: str) -> None:
    with pytest.raises(BackendError, match="trace"):
        list(read_trace(line.split("\n")))
