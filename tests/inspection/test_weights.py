"""Zeros, patterns and twins of stored tensors, against numpy on whole arrays."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from onnxopt.inspection.weights import Tensor, Weights, scan
from onnxopt.inspection.zeros import pattern, zeros
from onnxopt.io import load
from onnxopt.report import Size
from tests.shapes.models import parse

HUGE = 2000


def silent(share: float, text: str) -> None:
    del share, text


def model_with(folder: Path, arrays: dict[str, np.ndarray], *, external: bool = False) -> ir.Model:
    """Load a model that stores these arrays."""
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([node], "g", [x], [y], tensors)
    imports = [onnx.helper.make_opsetid("", 21)]
    path = folder / "model.onnx"
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=imports, ir_version=10),
        path,
        save_as_external_data=external,
        location="weights.bin" if external else None,
        size_threshold=0,
    )
    return load(path)


def look(folder: Path, array: np.ndarray) -> Tensor:
    (found,) = scan(model_with(folder, {"w": array}), silent).tensors
    return found


@pytest.mark.parametrize(
    "dtype",
    [
        np.float32,
        np.float64,
        np.float16,
        np.int8,
        np.uint16,
        np.int16,
        ml_dtypes.bfloat16,
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.int4,
        ml_dtypes.uint4,
    ],
)
@pytest.mark.parametrize("size", [7, HUGE])
def test_zeros_of_both_signs_count(tmp_path: Path, dtype: type, size: int) -> None:
    numbers = np.random.default_rng(size).integers(0, 4, size)
    array: np.ndarray = numbers.astype(dtype)
    if np.dtype(dtype).kind == "f" or dtype is ml_dtypes.bfloat16:
        array[1::3] *= np.asarray(-1, dtype)
    if dtype is np.int16:
        array[0] = -32768
    assert look(tmp_path, array).zeros == int((array.astype(np.float64) == 0).sum())


@given(st.lists(st.integers(-8, 7), min_size=1, max_size=9), st.integers(-8, 7))
def test_packed_zeros_follow_the_zero_point(numbers: list[int], zero: int) -> None:
    tensor = ir.Tensor(np.array(numbers, ml_dtypes.int4), dtype=ir.DataType.INT4)
    assert zeros(tensor, zero) == numbers.count(zero)


def test_the_integer_that_stands_for_zero_is_the_zero_point() -> None:
    model = parse("""g (float[2] x) => (float[2] y)
      <uint8[4] w = {128, 128, 0, 7}, float s = {0.5}, uint8 z = {128}>
      { d = DequantizeLinear (w, s, z) y = Add (x, x) }""")
    found = {tensor.name: tensor for tensor in scan(model, silent).tensors}
    assert found["w"].zeros == 2
    assert found["z"].role == found["s"].role == "quantization"
    assert scan(model, silent).parameters == 4


def test_zero_points_that_differ_leave_the_zeros_uncounted() -> None:
    model = parse("""g (float[2] x) => (float[2] y)
      <uint8[2,2] w = {1, 2, 0, 7}, float[2] s = {0.5, 1.0}, uint8[2] z = {1, 2}>
      { d = DequantizeLinear <axis = 0> (w, s, z) y = Add (x, x) }""")
    weights = scan(model, silent)
    assert weights.tensors[0].zeros is None
    assert (weights.parameters, weights.counted) == (4, 0)


@pytest.mark.parametrize(("kept", "span"), [(2, 4), (1, 4), (4, 8), (3, 8)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_pattern_is_found_along_its_axis(kept: int, span: int, axis: int) -> None:
    rng = np.random.default_rng(span)
    groups = np.zeros((6, 16 // span, span, 5), np.float32)
    for index in np.ndindex(6, 16 // span, 5):
        places = rng.permutation(span)[:kept]
        groups[index[0], index[1], places, index[2]] = 1 + rng.random(kept)
    groups[0, 0, :, 0] = [1] * kept + [0] * (span - kept)
    array = np.moveaxis(groups.reshape(6, 16, 5), 1, axis)
    assert pattern(ir.Tensor(array.copy()), 0) == f"{kept}:{span} along axis {axis}"


def test_of_several_patterns_the_sparsest_is_told() -> None:
    array = np.zeros((4, 16), np.float32)
    array[:, [0, 8]] = 1
    assert pattern(ir.Tensor(array), 0) == "1:8 along axis 1"


def test_scattered_zeros_are_no_pattern() -> None:
    array = np.ones((16, 16), np.float32)
    array[:10] = 0
    array[:, 3] = 1
    array[3] = 1
    assert pattern(ir.Tensor(array), 0) == ""


def weights_of(folder: Path, *, external: bool) -> Weights:
    once = np.arange(100, dtype=np.float32)
    changed = once.copy()
    changed[50] = -1
    arrays: dict[str, np.ndarray] = {
        "a": once,
        "b": once,
        "c": changed,
        "d": once.reshape(10, 10),
        "i": np.arange(3),
    }
    return scan(model_with(folder, arrays, external=external), silent)


@pytest.mark.parametrize("external", [False, True])
def test_equal_tensors_are_named(tmp_path: Path, external: bool) -> None:
    weights = weights_of(tmp_path, external=external)
    assert weights.twins == (("a", "b"),)
    assert weights.repeated_bytes == 400


@pytest.mark.parametrize("external", [False, True])
def test_bytes_by_type_are_those_of_the_model(tmp_path: Path, external: bool) -> None:
    weights = weights_of(tmp_path, external=external)
    model = load(tmp_path / "model.onnx")
    total = sum(row.nbytes for row in weights.by_type)
    assert total == Size.of(model).weight_bytes == 4 * 400 + 24
    assert sum(row.external for row in weights.by_type) == (total if external else 0)
    assert [row.dtype for row in weights.by_type] == ["float", "int64"]
    assert weights.parameters == 400


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    told: list[float] = []
    model = model_with(tmp_path, {"a": np.ones(4, np.float32), "b": np.ones(4, np.float32)})
    scan(model, lambda share, text: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
