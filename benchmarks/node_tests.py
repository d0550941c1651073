"""Run ONNX's own backend node tests before and after onnxopt, and compare.

A test runs on ONNX Runtime with its optimizer off, or on onnx's reference evaluator where the
runtime cannot. The original must give the expected outputs, or the test does not count; the
optimized model must then give them too, on the same evaluator. Tests run in processes of their own,
some at a time, so that a crash costs one test. Run in the project's environment.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import run_measured, write_results

CHUNK = 700


def collect() -> list[Any]:
    """Return the node tests of the installed onnx, by name."""
    from onnx.backend.test.case.node import collect_testcases

    return sorted(collect_testcases(None), key=lambda case: str(case.name))


def optimize(model: Any) -> Any:
    """Optimize a proto with the default pipeline, through files as the command does."""
    import onnx

    import onnxopt

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        onnx.save(model, source)
        onnxopt.save(onnxopt.optimize(source), target)
        return onnx.load(target)


def run_runtime(model: Any, inputs: list[Any]) -> list[Any]:
    """Run on ONNX Runtime with its optimizer off."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]
    return list(session.run(None, dict(zip(names, inputs, strict=False))))


def run_reference(model: Any, inputs: list[Any]) -> list[Any]:
    """Run on onnx's reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(model)
    return list(session.run(None, dict(zip(session.input_names, inputs, strict=False))))


EVALUATORS = {"onnxruntime": run_runtime, "reference": run_reference}


def equal(mine: Any, want: Any, case: Any) -> bool:
    """Compare as onnx's own runner does, with the tolerance of the test."""
    import numpy as np

    if isinstance(want, list):
        same_length = isinstance(mine, list) and len(mine) == len(want)
        return same_length and all(equal(a, b, case) for a, b in zip(mine, want, strict=True))
    if want is None or mine is None:
        return mine is want
    mine, want = np.asarray(mine), np.asarray(want)
    if mine.shape != want.shape:
        return False
    if want.dtype.kind in "OUS":
        return bool(np.array_equal(mine.astype(str), want.astype(str)))
    if want.dtype.kind in "biu":
        return mine.dtype == want.dtype and bool(np.array_equal(mine, want))
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    close = np.isclose(mine.astype(wide), want.astype(wide), case.rtol, case.atol, equal_nan=True)
    return mine.dtype.itemsize == want.dtype.itemsize and bool(close.all())


def to_array(item: Any) -> Any:
    """Return what an evaluator takes: tests of small types hold messages instead of arrays."""
    import onnx

    return onnx.numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item


def passes(model: Any, case: Any, evaluator: str) -> bool:
    """Say whether the model gives the expected outputs of every data set."""
    for inputs, expected in case.data_sets:
        fed, want = ([to_array(item) for item in side] for side in (inputs, expected))
        if not equal(EVALUATORS[evaluator](model, fed), want, case):
            return False
    return True


def choose(case: Any) -> str:
    """Return the evaluator on which the original gives its expected outputs, '' for none."""
    for name in EVALUATORS:
        try:
            if passes(case.model, case, name):
                return name
        except Exception:
            continue
    return ""


def examine(case: Any) -> dict[str, Any]:
    """Run one test before and after; return its outcome."""
    evaluator = choose(case)
    if not evaluator:
        return {"outcome": "cannot run"}
    try:
        optimized = optimize(case.model)
    except Exception as problem:  # a crash of the optimizer is the finding
        return {"outcome": "optimizer failed", "why": f"{type(problem).__name__}: {problem}"[:300]}
    try:
        same = passes(optimized, case, evaluator)
    except Exception as problem:
        return {
            "outcome": "does not run after",
            "why": f"{type(problem).__name__}: {problem}"[:300],
        }
    before, after = len(case.model.graph.node), len(optimized.graph.node)
    return {"outcome": "equal" if same else "differs", "on": evaluator, "nodes": [before, after]}


def run_chunk(start: int, end: int, to: Path) -> None:
    """Examine tests start to end in this process, one line of JSON each, as they finish."""
    warnings.filterwarnings("ignore")
    with to.open("a") as stream:
        for index, case in list(enumerate(collect()))[start:end]:
            stream.write(json.dumps({"name": case.name, "index": index, "outcome": "crashed"}))
            stream.flush()
            found = {"name": case.name, "index": index, **examine(case)}
            stream.write("\n" + json.dumps(found) + "\n")
            stream.flush()


def run_all(total: int, limit: float) -> Iterator[dict[str, Any]]:
    """Yield the outcome of every test; a process that dies is followed by another."""
    start = 0
    while start < total:
        with tempfile.TemporaryDirectory() as folder:
            to = Path(folder) / "lines"
            command = [sys.executable, __file__, "--chunk", str(start), str(start + CHUNK), str(to)]
            ran = run_measured(command, limit)
            lines = to.read_text().splitlines() if to.exists() else []
            found = {line["index"]: line for line in map(json.loads, filter(None, lines))}
        if not found:
            raise SystemExit(f"tests from {start} on did not start: {ran.tail}")
        yield from found.values()
        start = max(found) + 1


def main() -> None:
    """Read the command line, run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--limit", type=float, default=900, help="seconds for a process of 700 tests"
    )
    parser.add_argument("--only", nargs="*", help="names of tests, run in this process")
    parser.add_argument("--chunk", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.chunk:
        run_chunk(int(options.chunk[0]), int(options.chunk[1]), Path(options.chunk[2]))
        return
    tests = collect()
    if options.only:
        for case in tests:
            if case.name in options.only:
                print(case.name, examine(case))
        return
    started = time.perf_counter()
    found = list(run_all(len(tests), options.limit))
    counts = Counter(entry["outcome"] for entry in found)
    failures = [e for e in found if e["outcome"] not in ("equal", "cannot run")]
    for entry in failures:
        print(entry)
    print(f"{len(tests)} tests: {dict(counts)}, {time.perf_counter() - started:.0f} s")
    evaluators = Counter(entry["on"] for entry in found if "on" in entry)
    said = {"tests": len(tests), "outcomes": counts, "evaluators": evaluators}
    said["cannot run"] = [e["name"] for e in found if e["outcome"] == "cannot run"]
    print(write_results("node_tests", {**said, "failures": failures}))


if __name__ == "__main__":
    main()
