"""Summing up runs, on runs made up here."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxopt.profiling.tally import NodeTally, tally
from onnxopt.target import ModelRun, NodeRun, TensorRun


def node(name: str, seconds: float, index: int = 0, *, device: float = 0.0) -> NodeRun:
    return NodeRun(
        node=name,
        op_type="Add",
        provider="P",
        index=index,
        seconds=seconds,
        device_seconds=device,
        inputs=(TensorRun("float", (1, 2)), TensorRun("float", ())),
        outputs=(TensorRun("float", (1, 2)),),
    )


def run(*nodes: NodeRun) -> ModelRun:
    total = sum(each.seconds for each in nodes)
    return ModelRun(seconds=total + 2, executor_seconds=total + 1, nodes=list(nodes))


def test_only_runs_in_blocks_count() -> None:
    runs = [run(node("a", seconds)) for seconds in (100, 1, 3, 100, 5, 7)]
    found = tally(runs, [range(1, 3), range(4, 6)], 1)
    assert found[0].blocks == [2, 6]
    assert found[0].count == 1


def test_the_middle_is_deaf_to_a_disturbed_run() -> None:
    runs = [run(node("a", seconds)) for seconds in (5, 5, 5, 1000)]
    assert tally(runs, [range(4)], 1)[0].blocks == [5]


def test_samples_are_averaged_not_mixed() -> None:
    runs = [run(node("a", seconds)) for seconds in (1, 10, 1, 10, 1, 10)]
    assert tally(runs, [range(6)], 2)[0].blocks == [5.5]


def test_a_node_in_a_loop_is_summed_and_counted() -> None:
    runs = [run(node("a", 1), node("a", 2), node("b", 4))] * 3
    first, second = tally(runs, [range(3)], 1)
    assert (first.count, first.blocks) == (2, [3])
    assert (second.count, second.blocks) == (1, [4])


def test_nodes_of_one_name_are_told_apart_by_their_index() -> None:
    found = tally([run(node("a", 1, 0), node("a", 2, 1))] * 2, [range(2)], 1)
    assert [each.blocks for each in found] == [[1], [2]]


def test_a_branch_that_is_not_always_taken() -> None:
    runs = [run(node("a", 4)), run()] * 2
    (found,) = tally(runs, [range(4)], 2)
    assert (found.count, found.blocks) == (0.5, [2])


def test_runs_that_were_lost_are_left_out() -> None:
    found = tally([run(node("a", 1))] * 3, [range(2), range(2, 4), range(4, 6)], 1)
    assert found[0].blocks == [1, 1]


def test_device_times_are_kept_where_there_are_any() -> None:
    assert tally([run(node("a", 1))], [range(1)], 1)[0].device == []
    assert tally([run(node("a", 1, device=3))], [range(1)], 1)[0].device == [3]


def test_a_tally_survives_json() -> None:
    (found,) = tally([run(node("a", 1))], [range(1)], 1)
    read = NodeTally.from_dict(json.loads(json.dumps(dataclasses.asdict(found))))
    assert read == found
    assert (read.tensors, read.axes) == (3, 4)


@given(st.lists(st.lists(st.floats(0, 1e3), min_size=1, max_size=4), min_size=1, max_size=12))
def test_nothing_is_lost_or_made_up(times: list[list[float]]) -> None:
    runs = [run(*(node(f"n{at}", s, at) for at, s in enumerate(row))) for row in times]
    found = tally(runs, [[number] for number in range(len(runs))], 1)
    for number, row in enumerate(times):
        assert sum(each.blocks[number] for each in found) == pytest.approx(sum(row))
