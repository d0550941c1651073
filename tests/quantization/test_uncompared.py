"""Quantizing without running anything: weight by weight, in little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

import onnxopt
from onnxopt.errors import UsageError
from tests.contract.corpus.build import model, normal
from tests.quantization.test_static import MATRICES, MLP

WIDTH, LAYERS = 2048, 16


def test_the_same_comes_out_as_with_comparing() -> None:
    made = model(MLP, {**MATRICES, "w": normal(16, 32) / 4})
    seen, _ = onnxopt.quantize_with_report(made, scheme="int4-weights", measure=False)
    unseen, report = onnxopt.quantize_with_report(made, scheme="int4-weights", compare=False)
    assert ir.to_proto(seen) == ir.to_proto(unseen)
    assert (report.chosen, report.compared_on) == ("int4-weights", 0)
    assert report.tried[0].sqnr_db is None
    assert any("nothing was compared" in warning for warning in report.warnings)


def test_what_is_best_is_not_told_unseen() -> None:
    with pytest.raises(UsageError, match="name a scheme"):
        onnxopt.quantize_with_report(model(MLP, MATRICES), compare=False)


def perceptron(folder: Path) -> Path:
    """Write a model of 256 MB of weights in a file beside it."""
    path, data = folder / "model.onnx", folder / "model.data"
    size = WIDTH * WIDTH * 4
    random = np.random.default_rng(0)
    with data.open("wb") as file:
        for _ in range(LAYERS):
            file.write(random.random(WIDTH * WIDTH, np.float32).tobytes())
    nodes, weights = [], []
    for at in range(LAYERS):
        y = "y" if at == LAYERS - 1 else f"x{at + 1}"
        nodes.append(helper.make_node("MatMul", [f"x{at}" if at else "x", f"w{at}"], [y]))
        held = TensorProto(name=f"w{at}", data_type=TensorProto.FLOAT, dims=[WIDTH, WIDTH])
        held.data_location = TensorProto.EXTERNAL
        for key, value in (("location", data.name), ("offset", at * size), ("length", size)):
            held.external_data.add(key=key, value=str(value))
        weights.append(held)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", WIDTH]) for n in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path.write_bytes(made.SerializeToString())
    return path


PEAK = """
import resource, sys
from pathlib import Path
from onnxopt.base import Context
from onnxopt.io import load, save
from onnxopt.pipeline import Pipeline
from onnxopt.quantizer.schemes import SCHEMES
pipeline = Pipeline.parse(f"infer-shapes, {SCHEMES['int4-weights'].pipeline}, dce")
made = load(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pipeline.run(made, Context())
save(made, Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_weights_are_in_memory_one_at_a_time(tmp_path: Path) -> None:
    source, result = perceptron(tmp_path), tmp_path / "small.onnx"
    command = [sys.executable, "-c", PEAK, str(source), str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    given = (tmp_path / "model.data").stat().st_size
    kept = result.stat().st_size
    assert kept < given / 6
    assert int(done.stdout) * 1024 < kept + given / 4
    onnx.checker.check_model(onnx.load(result))
