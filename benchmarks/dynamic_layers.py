"""Measure one and the same products with scales from samples, with scales of every run, in float.

A layer whose scales are found in every run finds the range of its input, and then does what one
with fixed scales does; so it should pay nowhere by itself. Here it is asked of shapes from the
smallest up: eight times LayerNormalization, product and bias, rows of K numbers, K columns out.
Writes results/dynamic_layers.json.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from common import write_results
from onnx import TensorProto, helper, numpy_helper

ROWS = (1, 16, 128)
WIDTHS = (64, 256, 768)
LAYERS = 8
FORMS = {
    "float": ("", "MatMul"),
    "static": ("quantize/calibrate{method=minmax}, quantize/static, dce", "QuantizeLinear"),
    "dynamic": ("quantize/dynamic, dce", "DynamicQuantizeLinear"),
}
"""The passes that make each, and an operator that it then has in every layer."""


def network(rows: int, width: int) -> onnx.ModelProto:
    """Return layers of a transformer's kind, behind one another."""
    random = np.random.default_rng(0)
    weights: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def weight(name: str, numbers: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(numbers.astype(np.float32), name))
        return name

    ones = weight("ones", np.ones(width))
    y = "x"
    for at in range(LAYERS):
        square = random.normal(0, width**-0.5, (width, width))
        w, b = weight(f"w{at}", square), weight(f"b{at}", random.normal(0, 0.1, width))
        nodes += [
            helper.make_node("LayerNormalization", [y, ones], [f"n{at}"], axis=-1),
            helper.make_node("MatMul", [f"n{at}", w], [f"m{at}"]),
            helper.make_node("Add", [f"m{at}", b], [f"y{at}"]),
        ]
        y = f"y{at}"
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, width]) for name in ("x", y)
    ]
    graph = helper.make_graph(nodes, "layers", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def made(rows: int, width: int, folder: Path) -> dict[str, Path]:
    """Write the model in every form, and samples beside them."""
    from onnxopt import catalogue, io, lossless, shapes
    from onnxopt.base import Context
    from onnxopt.pipeline import Pipeline
    from onnxopt.samples import Samples

    plain = folder / "plain.onnx"
    onnx.save(network(rows, width), plain)
    random = np.random.default_rng(1)
    feeds = [{"x": random.normal(0, 1, (rows, width)).astype(np.float32)} for _ in range(4)]
    (folder / "samples").mkdir(exist_ok=True)
    for at, each in enumerate(feeds):
        np.savez(folder / "samples" / f"{at}.npz", **each)
    files = {}
    for form, (pipeline, operator) in FORMS.items():
        model = io.load(plain)
        shapes.infer(model)
        context = Context(
            load=catalogue.backend(lossless.STREAM).open,
            samples=Samples.of(lambda: iter(feeds)),
            target=catalogue.backend("cpu").target(),
        )
        if pipeline:
            Pipeline.parse(pipeline).run(model, context)
        assert sum(node.op_type == operator for node in model.graph) >= LAYERS
        files[form] = folder / f"{form}.onnx"
        io.save(model, files[form])
    return files


def compared(files: dict[str, Path], threads: int, budget: float) -> dict[str, Any]:
    """Return the latency of the other forms over that of the static one."""
    import onnxopt

    others = [form for form in files if form != "static"]
    report = onnxopt.bench(
        files["static"],
        *(files[form] for form in others),
        samples=files["static"].parent / "samples",
        threads=threads,
        budget=budget,
    )
    found = {}
    for form, row in zip(others, report.rows[1:], strict=True):
        ratio = row.ratio
        assert ratio is not None
        found[form] = {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}
    return found


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=4.0, help="seconds for each comparison")
    options = parser.parse_args()
    found = {}
    for width in WIDTHS:
        for rows in ROWS:
            with tempfile.TemporaryDirectory() as folder:
                files = made(rows, width, Path(folder))
                for threads in (1, 2):
                    name = f"{rows}x{width}x{width}, threads {threads}"
                    found[name] = compared(files, threads, options.budget)
                    print(name, found[name], flush=True)
    print(write_results("dynamic_layers", {"layers": LAYERS, "over_static": found}))


if __name__ == "__main__":
    main()
