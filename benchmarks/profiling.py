"""Measure what profiling adds to a run, and how much of a run the times of its nodes explain.

    python benchmarks/profiling.py [--only NAME …]

Every model of the corpus, one thread. Results go to ``results/profiling.json``.
"""

from __future__ import annotations

import argparse
from typing import Any

from common import corpus_folder, read_results, write_results

import onnxopt
from onnxopt.profiling.report import ModelProfile


def told(model: ModelProfile) -> dict[str, Any]:
    """Return a line of the results; times in seconds a run."""
    if model.plain is None or model.slowed is None:
        return {"error": model.error}
    return {
        "plain": model.plain.value,
        "recording": model.slowed.value,
        "slower": round(model.slowed.value / model.plain.value, 3),
        "nodes": len(model.nodes),
        "as_recorded": round(model.recorded_s / model.plain.value, 3),
        "explained": round(model.nodes_s / model.plain.value, 3),
    }


def main() -> None:
    """Profile the models that are asked for; what is known of the others stays."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", help="models of the corpus; all by default")
    names = parser.parse_args().only
    names = names or sorted(path.parent.name for path in corpus_folder().glob("*/model.onnx"))
    found: dict[str, Any] = read_results("profiling").get("models", {})
    for name in names:
        path = corpus_folder() / name / "model.onnx"
        report = onnxopt.profile(path, threads=1, budget=6, peaks=False)
        found[name] = told(report.models[0])
        print(name, found[name], flush=True)
        write_results("profiling", {"models": found})


if __name__ == "__main__":
    main()
