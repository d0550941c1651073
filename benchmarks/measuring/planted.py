"""Count how often a true difference of 3 % is found: 33 equal layers against 34.

What a run costs beside its layers makes the true difference slightly smaller than 1/33.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from measuring.runs import Entry, bench, options, resume_with_files, shares

LAYERS = 33


def convolutions(count: int) -> onnx.ModelProto:
    """Return a chain of convolutions of 3 by 3 on 24 channels of 28 by 28, each with Relu."""
    rng = np.random.default_rng(0)
    nodes, weights, value = [], [], "x"
    for at in range(count):
        weight = rng.normal(0, (2 / (24 * 9)) ** 0.5, (24, 24, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{at}"))
        nodes.append(helper.make_node("Conv", [value, f"w{at}"], [f"c{at}"], pads=[1, 1, 1, 1]))
        value = f"y{at}"
        nodes.append(helper.make_node("Relu", [f"c{at}"], [value]))
    return _model(nodes, weights, value, (1, 24, 28, 28))


def products(count: int) -> onnx.ModelProto:
    """Return a chain of products of 32 rows with 160 by 160 weights, each with Relu."""
    rng = np.random.default_rng(0)
    nodes, weights, value = [], [], "x"
    for at in range(count):
        weight = rng.normal(0, (2 / 160) ** 0.5, (160, 160)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{at}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{at}"], [f"c{at}"]))
        value = f"y{at}"
        nodes.append(helper.make_node("Relu", [f"c{at}"], [value]))
    return _model(nodes, weights, value, (32, 160))


def _model(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    last: str,
    shape: tuple[int, ...],
) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", last)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CHAINS = {"convolutions": convolutions, "products": products}


def search(folder: Path, number: int) -> Entry:
    """Measure a chain against a longer or, every fourth run, a shorter one."""
    name = list(CHAINS)[number % 2]
    files = []
    for count in (LAYERS, LAYERS + 1):
        files.append(folder / f"{name}{count}.onnx")
        onnx.save(CHAINS[name](count), files[-1])
    expected = "slower"
    if number // 2 % 2:
        files, expected = files[::-1], "faster"
    report = bench(*files, "--threads", 1, "--budget", "60s", "--seed", number)
    first, second = report["rows"]
    return {
        "chain": name,
        "expected": expected,
        "outcome": second["outcome"],
        "ratio": shares(second["ratio"]),
        "noise": shares(first["noise"]),
        "median": first["median"]["value"],
        "launches": first["launches"],
        "wall": round(report["wall"], 1),
    }


if __name__ == "__main__":
    resume_with_files("measuring_planted", options(__doc__, 24), search)
