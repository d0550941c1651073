"""Under the roof, by hand."""

from __future__ import annotations

import dataclasses

import pytest

from onnxopt.profiling.peaks import Peaks, Stream
from onnxopt.profiling.roofline import kind_of, roof
from onnxopt.profiling.tally import NodeTally
from onnxopt.target import TensorRun

PEAKS = Peaks(
    macs={"float32": 1e11, "int8": 4e11},
    streams=(Stream(1e5, 1e11), Stream(1e7, 5e10), Stream(1e8, 1e10)),
)


def node(op_type: str = "MatMul", dtype: str = "float", count: float = 1.0) -> NodeTally:
    return NodeTally(
        node="n",
        op_type=op_type,
        provider="P",
        depth=0,
        count=count,
        inner=0,
        blocks=[1.0],
        device=[],
        inputs=(TensorRun(dtype, (2, 2)),),
        outputs=(),
        activation_bytes=0,
        weight_bytes=0,
        output_bytes=0,
    )


def test_much_work_on_few_bytes_is_bound_by_compute() -> None:
    found = roof(node(), 1e9, 1e7, PEAKS, 0)
    assert found is not None
    assert (found.bound, found.kind) == ("compute", "float32")
    assert found.attainable_s == pytest.approx(1e-2)


def test_many_bytes_are_bound_by_memory() -> None:
    found = roof(node("Add"), 0, 1e8, PEAKS, 0)
    assert found is not None
    assert found.bound == "memory"
    assert found.attainable_s == pytest.approx(1e-2)


def test_what_takes_less_than_a_call_is_overhead() -> None:
    found = roof(node("Reshape"), 0, 0, PEAKS, 0)
    assert found is not None
    assert (found.bound, found.attainable_s) == ("overhead", 0)
    slow_call = roof(node(), 1e6, 1e5, PEAKS, 1e-3)
    assert slow_call is not None
    assert slow_call.bound == "overhead"


def test_bandwidth_is_that_of_one_execution() -> None:
    once = roof(node("Add"), 0, 1e7, PEAKS, 0)
    often = roof(node("Add", count=100.0), 0, 1e9, PEAKS, 0)
    assert once is not None
    assert often is not None
    assert often.attainable_s == pytest.approx(100 * once.attainable_s)


@pytest.mark.parametrize(
    ("size", "rate"), [(1, 1e11), (1e5, 1e11), (1e6, 7.5e10), (1e7, 5e10), (1e9, 1e10)]
)
def test_bandwidth_between_the_sizes_that_were_measured(size: float, rate: float) -> None:
    assert PEAKS.bandwidth(size) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("op_type", "dtype", "kind"),
    [
        ("MatMul", "float", "float32"),
        ("MatMul", "float16", "float16"),
        ("QLinearConv", "uint8", "int8"),
        ("MatMulIntegerToFloat", "uint8", "int8"),
        ("DynamicQuantizeMatMul", "float", "int8"),
        ("Gather", "int64", "float32"),
    ],
)
def test_types(op_type: str, dtype: str, kind: str) -> None:
    assert kind_of(node(op_type, dtype)) == kind


def test_a_type_without_a_peak_has_no_place() -> None:
    assert roof(node(dtype="float16"), 1e9, 1e7, PEAKS, 0) is None
    without = dataclasses.replace(PEAKS, macs={})
    assert roof(node(), 1e9, 1e7, without, 0) is None
    assert roof(node("Add"), 0, 1e7, without, 0) is not None
