"""What looking at a large model costs: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx

from tests.io import models
from tests.source import ROOT

ROWS, COLUMNS, WEIGHTS = 4096, 4096, 4

PROBE = """
import resource, sys
from onnxopt._startup import import_onnx_ir
import_onnx_ir()
from onnxopt.inspection import inspect
from onnxopt.io import load
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
model = load(sys.argv[1])
base = peak()
found = inspect(model)
assert found.weights.zeros == found.weights.parameters
assert len(found.weights.twins[0]) == len(found.weights.tensors)
print(peak() - base)
"""


def test_weights_are_read_as_a_stream(tmp_path: Path) -> None:
    size = ROWS * COLUMNS
    nodes, weights = [], []
    for at in range(WEIGHTS):
        weight = models.outside(f"w{at}", "d", size=size, offset=4 * size * at)
        del weight.dims[:]
        weight.dims.extend((ROWS, COLUMNS))
        weights.append(weight)
        nodes.append(onnx.helper.make_node("MatMul", [f"h{at}", f"w{at}"], [f"h{at + 1}"]))
    with (tmp_path / "d").open("wb") as file:
        file.truncate(4 * size * WEIGHTS)  # a hole reads as zeros and takes no room
    ends = [models.info(name) for name in ("h0", f"h{WEIGHTS}")]
    proto = models.model(nodes, inputs=ends[:1], outputs=ends[1:])
    proto.graph.initializer.extend(weights)
    path = models.write(proto, tmp_path / "m.onnx")
    command = [sys.executable, "-c", PROBE, str(path)]
    output = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert output.returncode == 0, output.stderr
    assert int(output.stdout) < 70
