"""Real models: never less known than by ONNX's own inference, and true when they run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxopt import shapes

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("ONNXOPT_CORPUS", ROOT.parent / "shared" / "corpus"))
MODELS = sorted(CORPUS.glob("*/model.onnx"))
models = pytest.mark.parametrize(
    "path",
    MODELS or [pytest.param(None, marks=pytest.mark.skip(f"no corpus of models at {CORPUS}"))],
    ids=lambda path: path.parent.name if path else "none",
)


def bare(path: Path) -> onnx.ModelProto:
    """Load a model without its annotations, and without inputs that have a default.

    ONNX's own inference takes such defaults for constants, ours does not from IR version 4.
    """
    proto = onnx.load(path)
    del proto.graph.value_info[:]
    if proto.ir_version >= 4:
        defaults = {tensor.name for tensor in proto.graph.initializer}
        inputs = [value for value in proto.graph.input if value.name not in defaults]
        del proto.graph.input[:]
        proto.graph.input.extend(inputs)
    return proto


def static_dims(proto: onnx.ModelProto) -> dict[str, list[int | None]]:
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    return {
        info.name: [
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in info.type.tensor_type.shape.dim
        ]
        for info in inferred.graph.value_info
        if info.type.tensor_type.HasField("shape")
    }


@models
def test_every_extent_that_onnx_knows_is_known(path: Path) -> None:
    proto = bare(path)
    model = ir.from_proto(proto)
    inference = shapes.infer(model)
    ours = {value.name: value for node in model.graph for value in node.outputs}
    for name, dims in static_dims(proto).items():
        shape = ours[name].shape
        assert shape is not None, f"{name}: {inference.stops}"
        assert len(shape) == len(dims), name
        for size, known in zip(shape, dims, strict=True):
            assert known is None or size == known, f"{name}: {shape} is {dims}"


@models
def test_a_second_run_changes_nothing(path: Path) -> None:
    model = ir.from_proto(bare(path))
    shapes.infer(model)
    assert shapes.infer(model).changed == 0


def feeds_for(model: ir.Model, extents: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.inputs:
        if value.is_initializer() or value.shape is None or value.dtype is None:
            continue
        shape = [size if isinstance(size, int) else extents[str(size)] for size in value.shape]
        dtype = value.dtype.numpy()
        if value.name == "sr":
            feeds["sr"] = np.array(16000, dtype=dtype)
        elif np.issubdtype(dtype, np.integer):
            feeds[value.name or ""] = random.integers(1, 60, shape).astype(dtype)
        else:
            feeds[value.name or ""] = random.random(shape).astype(dtype)
    return feeds


def check_truth(model: ir.Model, extents: dict[str, int], seed: int) -> int:
    """Run with every value of the main graph as an output; return how many extents were right."""
    runtime = pytest.importorskip("onnxruntime")
    inference = shapes.infer(model)
    interface = {value.name for value in model.graph.outputs}
    inner = [v for node in model.graph for v in node.outputs if v.name and v.name not in interface]
    inner = [value for value in inner if value.dtype is not None]
    feeds = feeds_for(model, extents, seed)
    model.graph.outputs.extend(inner)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    names = [value.name for value in inner]
    session = runtime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    checked = 0
    for value, array in zip(inner, session.run(names, feeds), strict=True):
        assert value.shape is not None
        assert len(value.shape) == array.ndim, f"{value.name}: {value.shape} is {array.shape}"
        for size, true in zip(value.shape, array.shape, strict=True):
            said = size if isinstance(size, int) else shapes.parse_dim(size.value or "")
            if said is not None:
                said = said if isinstance(said, int) else said.evaluate(extents)
                assert said == true, f"{value.name}: {value.shape} is {array.shape}"
                checked += 1
        checked += check_content(value, array, extents, inference.memo)
    return checked


def check_content(
    value: ir.Value, array: np.ndarray, extents: dict[str, int], memo: shapes.Memo
) -> int:
    content = shapes.symbolic_value(value, memo)
    if content is None:
        return 0
    said = [item if isinstance(item, int) else item.evaluate(extents) for item in content]
    assert said == array.reshape(-1).tolist(), f"{value.name}: {content}"
    assert shapes.symbolic_value(value) == content, f"{value.name} without a memo"
    return len(said)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "name",
    ["sst2_tiny_encoder", "tinyshakespeare_gpt", "cifar10_resnet20", "magika_v3_3"],
)
def test_expressions_are_true_when_the_model_runs(name: str, seed: int) -> None:
    path = CORPUS / name / "model.onnx"
    if not path.exists():
        pytest.skip(f"no corpus of models at {CORPUS}")
    model = ir.from_proto(bare(path))
    extents = {"batch": seed + 1, "seq": 5 + 8 * seed, "unk__214": seed}
    assert check_truth(model, extents, seed) > 100
