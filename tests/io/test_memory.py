"""What a large model costs: measured in a process of its own, since a peak never goes down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxopt.io
from tests.io import models

MEGABYTE = 1 << 20
WEIGHTS, WEIGHT_BYTES = 10, 30 * MEGABYTE

PROBE = """
import resource, sys
from onnxopt._startup import import_onnx_ir
import_onnx_ir()
import onnxopt.io
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
base = peak()
model = onnxopt.io.load(sys.argv[1])
onnxopt.io.save(model, sys.argv[2])
onnxopt.io.save(model, sys.argv[1])
print(peak() - base)
"""


@pytest.mark.parametrize("external", [False, True])
def test_weights_never_pass_through_memory(external: bool, tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 4 * WEIGHTS * WEIGHT_BYTES:
        pytest.skip("needs 1.2 GB of disk for models of 300 MB")
    values = np.random.default_rng(0).integers(0, 256, WEIGHT_BYTES, np.uint8).tobytes()
    size = WEIGHT_BYTES // 4
    names = [f"w{i}" for i in range(WEIGHTS)]
    proto = models.model([helper.make_node("Sum", names, ["y"])], [])
    path = tmp_path / "m.onnx"
    with (tmp_path / "d").open("wb") as file:
        for i, name in enumerate(names):
            weight = models.outside(name, "d", size=size, offset=i * WEIGHT_BYTES)
            if external:
                file.write(values)
            else:
                weight = onnx.TensorProto(name=name, data_type=1, dims=[size], raw_data=values)
            proto.graph.initializer.append(weight)
    models.write(proto, path)
    command = [sys.executable, "-c", PROBE, str(path), str(tmp_path / "n.onnx")]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert int(output.stdout) < 60
    written = tmp_path / ("n.onnx.data" if external else "n.onnx")
    assert written.stat().st_size >= WEIGHTS * WEIGHT_BYTES
    last = onnxopt.io.load(tmp_path / "n.onnx").graph.initializers["w9"].const_value
    assert last is not None
    assert last.tobytes() == values


def test_a_long_chain_takes_no_time(tmp_path: Path) -> None:
    count = 20_000
    proto = models.model([], inputs=[models.info("v0")], outputs=[models.info(f"v{count}")])
    for i in range(count):
        proto.graph.node.add(op_type="Relu", input=[f"v{i}"], output=[f"v{i + 1}"])
    path = models.write(proto, tmp_path / "m.onnx")
    start = time.process_time()
    model = onnxopt.io.load(path)
    assert time.process_time() - start < 2  # 0.3 s where nothing else runs
    onnxopt.io.save(model, tmp_path / "n.onnx")
    assert time.process_time() - start < 4
