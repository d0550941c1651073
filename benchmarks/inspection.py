"""Say what a model file is worth: loadable, same interface, same numbers, nodes that run.

    python benchmarks/inspection.py FOLDER ORIGINAL [CANDIDATE …]

FOLDER holds feeds_0.npz and feeds_1.npz. Prints one JSON object, a file's name to its facts.
Numbers are compared under ONNX Runtime with its optimizer off. What runs is counted after ONNX
Runtime's full optimization, subgraphs and layout reorders included; it depends on the processor.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

TOLERANCE = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-6}
"""Worst difference over the largest value of the output."""

FAMILIES = {
    "normalization": ("LayerNormalization", "RMSNormalization"),
    "gelu": ("Gelu",),
    "attention": ("Attention", "RotaryEmbedding"),
    "fused matmul": ("FusedMatMul", "FusedGemm"),
    "integer kernel": ("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinear", "MatMulNBits"),
}
"""Fused operators by what their names contain: SkipLayerNormalization is a normalization too."""

Outputs = dict[str, Any]


def session(model: Path, level: str, optimized: Path | None = None) -> ort.InferenceSession:
    """Open a model on one thread of the CPU."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{level}")
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def load_feeds(folder: Path) -> list[dict[str, np.ndarray]]:
    """Return the recorded feeds of both sizes."""
    return [dict(np.load(folder / f"feeds_{index}.npz")) for index in (0, 1)]


def run(model: Path, level: str, feeds: list[dict[str, np.ndarray]]) -> list[Outputs]:
    """Run a model as it is written (DISABLE_ALL) or as the runtime optimizes it (ENABLE_ALL)."""
    opened = session(model, level)
    names = [value.name for value in opened.get_outputs()]
    asked = {value.name for value in opened.get_inputs()}
    kept = [{k: v for k, v in feed.items() if k in asked} for feed in feeds]
    return [dict(zip(names, opened.run(None, feed), strict=True)) for feed in kept]


def difference(mine: Any, want: Any) -> float:
    """Return the worst difference in units of the tolerance: at most 1 is equal."""
    if isinstance(want, list):
        if len(mine) != len(want):
            return float("inf")
        return max((difference(a, b) for a, b in zip(mine, want, strict=True)), default=0.0)
    if isinstance(want, dict):
        if mine.keys() != want.keys():
            return float("inf")
        return max((difference(mine[k], want[k]) for k in want), default=0.0)
    mine, want = np.asarray(mine), np.asarray(want)
    if mine.dtype != want.dtype or mine.shape != want.shape:
        return float("inf")
    if want.dtype.name not in TOLERANCE:
        return 0.0 if np.array_equal(mine, want) else float("inf")
    finite = np.isfinite(want)
    if not np.array_equal(mine[~finite], want[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    a, b = mine[finite].astype(np.float64), want[finite].astype(np.float64)
    worst = float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-6)
    return worst / TOLERANCE[want.dtype.name] if worst == worst else float("inf")


def describe(value: onnx.ValueInfoProto) -> tuple[str, list[int | str | None] | None]:
    """Return the type and shape of an input or output; a dimension without a name is None."""
    kind = value.type.WhichOneof("value") or "none"
    if kind != "tensor_type":
        return re.sub(r"\s|shape\s*\{\s*\}", "", str(value.type)), None
    tensor = value.type.tensor_type
    name = onnx.TensorProto.DataType.Name(tensor.elem_type)
    if not tensor.HasField("shape"):
        return name, None
    dims = [getattr(d, d.WhichOneof("value") or "", None) for d in tensor.shape.dim]
    return name, dims


def interface(model: Path) -> dict[str, list[Any]]:
    """Return names, types and shapes of required inputs and of outputs."""
    graph = onnx.load(model, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [[v.name, *describe(v)] for v in graph.input if v.name not in weights]
    return {"inputs": inputs, "outputs": [[v.name, *describe(v)] for v in graph.output]}


def refines(got: list[Any] | None, had: list[Any] | None, *, an_input: bool) -> bool:
    """Say whether a shape promises no less, and for an input asks no more, than it did."""
    if had is None:
        return got is None or not an_input
    if got is None or len(got) != len(had):
        return False
    names_only = [
        g == h or (isinstance(g, str) and not isinstance(h, int))
        for g, h in zip(got, had, strict=True)
    ]
    return all(
        named or (not an_input and not isinstance(h, int))
        for named, h in zip(names_only, had, strict=True)
    )


def compare_interfaces(mine: dict[str, list[Any]], want: dict[str, list[Any]]) -> str:
    """Return 'same', 'refined' (an axis named anew, an output's shape known) or what changed."""
    if mine == want:
        return "same"
    for side in ("inputs", "outputs"):
        if [entry[:2] for entry in mine[side]] != [entry[:2] for entry in want[side]]:
            return f"{side} {mine[side]} were {want[side]}"[:300]
        for (name, _, got), (_, _, had) in zip(mine[side], want[side], strict=True):
            if not refines(got, had, an_input=side == "inputs"):
                return f"{side}: '{name}' has shape {got}, was {had}"
    return "refined"


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of a graph and of its subgraphs."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes_of(inner)


def checker_error(model: Path) -> str:
    """Return the first line of what onnx's checker says, '' when it is clean."""
    try:
        onnx.checker.check_model(str(model), full_check=True)
    except Exception as problem:  # checker and shape inference raise several unrelated types
        return str(problem).strip().splitlines()[0][:200]
    return ""


def runtime_graph(model: Path) -> dict[str, Any]:
    """Count what ONNX Runtime runs after its full optimization."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "optimized.onnx"
        session(model, "ENABLE_ALL", written)
        graph = onnx.load(written, load_external_data=False).graph
    found = list(nodes_of(graph))
    kinds = Counter(f"{n.domain}:{n.op_type}" if n.domain else n.op_type for n in found)
    layout = sum(kinds[kind] for kind in kinds if kind.rpartition(":")[2].startswith("Reorder"))
    fused = {
        family: sum(kinds[k] for k in kinds if any(word in k for word in words))
        for family, words in FAMILIES.items()
    }
    return {
        "runs": len(found),
        "reorders": layout,
        "fused": {family: count for family, count in fused.items() if count},
        "kinds": dict(sorted(kinds.items())),
    }


def inspect(model: Path, feeds: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return the facts of one file, with an 'error' where it cannot be loaded, fed or run."""
    facts: dict[str, Any] = {"bytes": model.stat().st_size}
    try:
        graph = onnx.load(model, load_external_data=False).graph
        facts["nodes"] = sum(1 for _ in nodes_of(graph))
        facts["interface"] = interface(model)
        facts["checker"] = checker_error(model)
        facts["outputs"] = run(model, "DISABLE_ALL", feeds)
        facts["outputs_at_full"] = run(model, "ENABLE_ALL", feeds)
        facts |= runtime_graph(model)
    except Exception as problem:  # whatever the file makes the runtime say is the result
        facts["error"] = f"{type(problem).__name__}: {str(problem).strip()[:300]}"
    return facts


def judge(candidate: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """Replace a candidate's outputs and interface by how they compare with the original's."""
    judged = {
        k: v for k, v in candidate.items() if k not in ("outputs", "outputs_at_full", "interface")
    }
    if "interface" in candidate:
        judged["interface"] = compare_interfaces(candidate["interface"], original["interface"])
    for key in ("outputs", "outputs_at_full"):
        if key in candidate:
            pairs = list(zip(candidate[key], original["outputs"], strict=True))
            judged[key.replace("outputs", "difference")] = max(
                difference(mine.get(name), want[name]) for mine, want in pairs for name in want
            )
    if "kinds" in candidate and "kinds" in original:
        before, after = dict(original["fused"]), candidate["fused"]
        inside = after.get("attention", 0) - before.get("attention", 0)
        before["fused matmul"] = before.get("fused matmul", 0) - max(inside, 0)
        judged["lost"] = {f: n - after.get(f, 0) for f, n in before.items() if after.get(f, 0) < n}
    return judged


def main() -> None:
    """Read the command line, inspect and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("original", type=Path)
    parser.add_argument("candidates", type=Path, nargs="*")
    parser.add_argument("--to", type=Path, help="write here instead of printing")
    options = parser.parse_args()
    feeds = load_feeds(options.folder)
    original = inspect(options.original, feeds)
    if "outputs" not in original:
        raise SystemExit(f"the original does not run: {original.get('error')}")
    judged = {"original": judge(original, original)}
    for path in options.candidates:
        judged[path.stem] = judge(inspect(path, feeds), original)
    text = json.dumps(judged, indent=1)
    if options.to:
        options.to.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
