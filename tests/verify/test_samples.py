"""Samples: every form of file, read as often as needed, and errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx.numpy_helper
import onnx_ir as ir
import pytest

from onnxopt.errors import ModelError, UsageError
from onnxopt.samples import Samples
from onnxopt.target import Feeds

X = ir.val("x", ir.DataType.FLOAT, ["batch", 3])
N = ir.val("n", ir.DataType.INT64, [])


def rows(count: int) -> np.ndarray:
    return np.arange(count * 3, dtype=np.float32).reshape(count, 3)


def test_a_folder_of_npz_is_read_in_order_again_and_again(tmp_path: Path) -> None:
    for at in range(3):
        np.savez(tmp_path / f"{at}.npz", x=rows(at + 1), n=np.array(at), label=np.array([at]))
    samples = Samples.from_path(tmp_path, [X, N])
    for _ in range(2):
        assert [int(feeds["n"]) for feeds in samples] == [0, 1, 2]
    labels = [sample.label for sample in samples.labelled()]
    assert [int(label[0]) for label in labels if label is not None] == [0, 1, 2]
    assert len(list(samples.first(2))) == 2


def test_npy_and_pb_serve_models_of_one_input(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", rows(2))
    proto = onnx.numpy_helper.from_array(rows(4), name="x")
    (tmp_path / "b.pb").write_bytes(proto.SerializeToString())
    assert [feeds["x"].shape for feeds in Samples.from_path(tmp_path, [X])] == [(2, 3), (4, 3)]
    (one,) = Samples.from_path(tmp_path / "a.npy", [X])
    assert np.array_equal(one["x"], rows(2))


def test_the_test_data_of_onnx_is_read_by_number(tmp_path: Path) -> None:
    for at in range(11):
        folder = tmp_path / f"test_data_set_{at}"
        folder.mkdir()
        for number, array in enumerate((rows(at + 1), np.array(at))):
            proto = onnx.numpy_helper.from_array(array)
            (folder / f"input_{number}.pb").write_bytes(proto.SerializeToString())
    found = [int(feeds["n"]) for feeds in Samples.from_path(tmp_path, [X, N])]
    assert found == list(range(11))


def test_types_without_a_name_in_numpy_and_strings_come_back(tmp_path: Path) -> None:
    inputs = [ir.val("b", ir.DataType.BFLOAT16, [2]), ir.val("s", ir.DataType.STRING, [2])]
    np.savez(tmp_path / "a.npz", b=np.ones(2, ml_dtypes.bfloat16), s=np.array(["a", "ß"]))
    (feeds,) = Samples.from_path(tmp_path / "a.npz", inputs)
    assert feeds["b"].dtype == ml_dtypes.bfloat16
    assert feeds["s"].tolist() == ["a", "ß"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": rows(2)}, r"a.npz: nothing for input 'n'; it holds 'x'"),
        ({"x": rows(2), "n": np.array(1), "z": rows(1)}, r"no input 'z'; it has 'x', 'n'"),
        ({"x": rows(2), "n": np.float32(1)}, r"a.npz: input 'n' wants int64\[\].*float32\[\]"),
        ({"x": rows(2).T, "n": np.array(1)}, r"wants float32\[batch, 3\].*float32\[3, 2\]"),
    ],
)
def test_errors_name_file_input_and_what_was_expected(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=message):
        list(Samples.from_path(tmp_path, [X, N]))


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.pb"])
def test_files_that_are_no_data_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\x01 not data")
    with pytest.raises(ModelError, match=name):
        list(Samples.from_path(tmp_path / name, [X]))


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no samples"):
        Samples.from_path(tmp_path, [X])
    with pytest.raises(ModelError, match="no such file"):
        Samples.from_path(tmp_path / "missing", [X])


def test_an_iterator_that_ends_for_good_is_refused() -> None:
    def read() -> Iterator[Feeds]:
        yield {"x": rows(1)}

    with pytest.raises(UsageError, match="only once"):
        Samples.of(read())
    assert len(list(Samples.of(read))) == len(list(Samples.of([{"x": rows(1)}]))) == 1
