"""Models under several conditions: what is compared with what, and on which feeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt.backends.cpu import Cpu
from onnxopt.backends.cuda import Cuda
from onnxopt.errors import BackendError, UsageError
from onnxopt.measure import Effort, Inputs, Variant, bench
from onnxopt.measure.feeding import feeds_for, told
from onnxopt.measure.models import Matrix, variants_of
from onnxopt.target import Feeds
from tests.backends.models import WIDTH, dense_model, single, tensor
from tests.measure.fakes import Fake

ONCE = Effort(launches=1, blocks=3, block_s=0.004, warm_s=0.05, timeout_s=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    ir.save(dense_model(), path)
    return path


def image(folder: Path, shape: tuple[int | str, ...]) -> Path:
    inputs = [tensor("x", ir.DataType.FLOAT, shape)]
    node = ir.Node("", "Abs", inputs, outputs=[tensor("y", ir.DataType.FLOAT, shape)])
    ir.save(single(node, inputs), folder / "image.onnx")
    return folder / "image.onnx"


def variant(model: Path, batch: int | None = None, *shapes: str) -> Variant:
    inputs = Inputs(batch=batch, shapes=shapes)
    return Variant(label="a", model=model, backend=Cpu(threads=1), inputs=inputs)


def test_several_models_are_compared_in_each_cell(path: Path) -> None:
    matrix = Matrix(threads=(1, 2), batches=(1, 8))
    found = variants_of([path, path], matrix)
    assert [v.label for v in found[:4]] == [
        "model.onnx (1), threads 1, batch 1",
        "model.onnx (2), threads 1, batch 1",
        "model.onnx (1), threads 2, batch 1",
        "model.onnx (2), threads 2, batch 1",
    ]
    assert len({v.group for v in found}) == 4
    assert len({v.label for v in found}) == 8


def test_one_model_is_compared_with_itself_on_another_provider(path: Path) -> None:
    matrix = Matrix(providers=("cpu", "cpu{spinning=false}"), batches=(1, 4))
    found = variants_of([path], matrix)
    assert [v.label for v in found[:2]] == [
        "model.onnx, cpu, batch 1",
        "model.onnx, cpu{spinning=false}, batch 1",
    ]
    assert [v.group for v in found] == [found[0].group] * 2 + [found[2].group] * 2
    report = bench(found, effort=ONCE)
    first, second, third, fourth = report.rows
    assert second.baseline == first.label
    assert fourth.baseline == third.label
    assert second.ratio is not None
    assert third.ratio is None
    assert (first.batch, third.batch) == (1, 4)
    assert first.noise is not None
    assert third.noise is not None


def test_a_provider_that_is_missing_is_told_and_the_others_go_on(path: Path) -> None:
    found = variants_of([path], Matrix(providers=("cpu", "DmlExecutionProvider")))
    report = bench(found, effort=ONCE)
    assert report.rows[0].median is not None
    assert "Dml" in (report.rows[1].error or "")
    with pytest.raises(BackendError, match="no CUDAExecutionProvider"):
        variants_of([path], Matrix(providers=("cuda",)))


def test_sets_of_shapes_begin_where_an_input_comes_again() -> None:
    shapes = ("a=1,2", "b=1,2", "a=1,4", "b=1,4")
    cells = Matrix(shapes=shapes, batches=(1, 2)).inputs()
    assert [(c.shapes, c.batch) for c in cells] == [
        (("a=1,2", "b=1,2"), 1),
        (("a=1,2", "b=1,2"), 2),
        (("a=1,4", "b=1,4"), 1),
        (("a=1,4", "b=1,4"), 2),
    ]


def test_made_up_feeds_have_the_batch_and_the_shapes_asked_for(path: Path, tmp_path: Path) -> None:
    (feeds,) = feeds_for(variant(path, 5), None, 30, 0)
    assert feeds["x"].shape == (5, WIDTH)
    open_image = image(tmp_path, ("N", 3, "height", "width"))
    (feeds,) = feeds_for(variant(open_image, None, "x=2,3,40,48"), None, 30, 0)
    assert feeds["x"].shape == (2, 3, 40, 48)


def test_what_a_model_has_fixed_is_refused_with_a_remedy(path: Path, tmp_path: Path) -> None:
    fixed = image(tmp_path, (1, 3, 8, 8))
    with pytest.raises(UsageError, match=r"has fixed its batch .*\[1,3,8,8\].*open first axis"):
        feeds_for(variant(fixed, 4), None, 30, 0)
    with pytest.raises(UsageError, match="has 3 where 4 is given"):
        feeds_for(variant(fixed, None, "x=1,4,8,8"), None, 30, 0)
    with pytest.raises(UsageError, match="shapes of their own"):
        feeds_for(variant(path, None, "x=1,64"), [{"x": np.zeros((1, WIDTH))}], 30, 0)


def test_samples_are_stacked_to_a_batch(path: Path) -> None:
    samples = [{"x": np.full((1, WIDTH), at, np.float32)} for at in range(3)]
    (feeds,) = feeds_for(variant(path, 4), samples, 30, 0)
    assert feeds["x"][:, 0].tolist() == [0, 1, 2, 0]
    uneven = [{"x": np.zeros((1, WIDTH))}, {"x": np.zeros((1, WIDTH + 1))}]
    with pytest.raises(UsageError, match="cannot be stacked"):
        feeds_for(variant(path, 4), uneven, 30, 0)


def test_streams_have_a_throughput() -> None:
    streams = Variant(label="a", model=Path("none"), backend=Fake(), streams=3)
    effort = Effort(launches=2, blocks=3, stream_block_s=0.02, warm_s=0.05, timeout_s=30)
    (row,) = bench([streams], feeds=[{}], effort=effort).rows
    assert row.throughput is not None
    assert row.median is not None
    assert row.throughput.low <= row.throughput.value <= row.throughput.high
    assert row.throughput.value > 1.2 / row.median.value  # three of them sleep at the same time


def test_a_stream_that_fails_is_told() -> None:
    broken = Variant(label="a", model=Path("none"), backend=Fake(fault="late crash"), streams=2)
    effort = Effort(launches=1, blocks=3, stream_block_s=0.2, warm_s=0.02, timeout_s=30)
    (row,) = bench([broken], feeds=[{}], effort=effort).rows
    assert "status 7" in (row.error or "")


def test_what_serves_one_caller_is_not_measured_with_several() -> None:
    broken = Variant(label="a", model=Path("none"), backend=Fake(buffers=True), streams=2)
    (row,) = bench([broken], feeds=[{}], effort=ONCE).rows
    assert row.error == "the fake serves one caller at a time: measure it with one stream"
    assert row.median is None


def test_cuda_is_compared_with_its_buffers_bound_and_a_graph(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cuda, "unavailable", classmethod(lambda cls: None))
    providers = ("cuda", "cuda{io-binding}", "cuda{cuda-graph}")
    found = variants_of([path], Matrix(providers=providers))
    assert [v.backend for v in found] == [Cuda(), Cuda(io_binding=True), Cuda(cuda_graph=True)]
    assert len({v.group for v in found}) == 1
    assert [v.label for v in found] == [f"model.onnx, {provider}" for provider in providers]


def test_what_a_measurement_ran_on_is_told() -> None:
    rows: list[Feeds] = [
        {"x": np.zeros((1, n), np.int64), "y": np.zeros(3, np.float32)} for n in (5, 9)
    ]
    assert told(rows, given=True) == "on 2 samples: x int64[1,5 to 9], y float32[3]"
    assert told([{}], given=False) == "the model takes no inputs"
    ragged: list[Feeds] = [{"x": np.zeros(2, np.int8)}, {"x": np.zeros((2, 2), np.int8)}]
    assert told(ragged, given=True) == "on 2 samples: x int8 of several ranks"


def test_numbers_of_streams_are_a_matrix_too(path: Path) -> None:
    found = variants_of([path], Matrix(streams=(1, 4)))
    assert [(each.streams, each.label) for each in found] == [
        (1, "model.onnx, streams 1"),
        (4, "model.onnx, streams 4"),
    ]
    assert len({each.group for each in found}) == 2


def test_threads_between_operators_are_another_option(path: Path) -> None:
    (found,) = variants_of([path], Matrix(providers=("cpu{inter-threads=2}",), threads=(4,)))
    assert (found.threads, found.backend.inter_threads) == (4, 2)  # type: ignore[attr-defined]


def test_samples_are_stacked_along_the_axis_of_the_batch(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    value = tensor("x", ir.DataType.FLOAT, (5, "batch", 2))
    node = ir.Node("", "Abs", [value], outputs=[tensor("y", ir.DataType.FLOAT, (5, "batch", 2))])
    ir.save(single(node, [value]), file)
    given: list[Feeds] = [{"x": np.full((5, 1, 2), at, np.float32)} for at in range(3)]
    wanted = Variant(label="m", model=file, backend=Cpu(), inputs=Inputs(batch=4))
    (feeds,) = feeds_for(wanted, given, 30, 0)
    assert feeds["x"].shape == (5, 4, 2)
    assert feeds["x"][0, :, 0].tolist() == [0, 1, 2, 0]
