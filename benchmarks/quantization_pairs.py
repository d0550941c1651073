"""Hold what ``onnxopt quantize`` made against ONNX Runtime's own files, each pair side by side.

quantization.py measures every file beside the float model, so two of them are compared through
two intervals. Here onnxopt's file is the baseline, and every file that ONNX Runtime's tools make
and that keeps its metric stands beside it: within half a point of a share, 1 % of a perplexity,
0.02 of an F1 or 0.01 of an agreement. What is measurably faster is measured
again, for twice as long, since the best of several is often the luckiest. Needs the folder of
quantization.py, scored. Writes results/quantization_pairs.json, or on x86 without VNNI, where other
files are the fastest and others lose their metric, results/quantization_pairs_without_vnni.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common import write_results
from quantization import MAKERS, SAMPLES, Model, corpus, rows_of

OURS = "onnxopt"
SETTINGS = ((1, 1), (2, 1), (1, 8), (2, 8))
"""Threads and batch."""


def keeps(name: str, before: float, after: float) -> bool:
    """Return whether a file keeps its model's metric."""
    metric = corpus().manifest()[name]["metric"]
    if metric == "perplexity":
        return after <= 1.01 * before
    return before - after <= {"person F1": 0.02, "frame agreement": 0.01}.get(metric, 0.005)


def rivals(model: Model, rows: dict[str, Any]) -> dict[str, Path]:
    """Return the files of ONNX Runtime's tools that run and keep the metric."""
    before = rows["given"]["metric"]
    return {
        which: model.folder / f"{which}.onnx"
        for which in MAKERS
        if which != OURS
        and "error" not in rows.get(which, {"error": 0})
        and keeps(model.name, before, rows[which]["metric"])
    }


def pairs(model: Model, files: dict[str, Path], setting: tuple[int, int], budget: float) -> Any:
    """Return onnxopt's time over each rival's; of what is faster that of a second measurement."""
    import onnxopt as library

    threads, batch = setting
    found: dict[str, Any] = {}
    left = dict(files)
    while left:
        report = library.bench(
            model.folder / f"{OURS}.onnx",
            *left.values(),
            samples=model.samples,
            threads=threads,
            batch=() if batch == 1 else batch,
            budget=budget,
        )
        again = not found
        for which, row in zip(list(left), report.rows[1:], strict=True):
            if row.ratio is None:
                found[which] = {"error": row.error}
                continue
            high, low = 1 / row.ratio.low, 1 / row.ratio.high
            found[which] = {"ratio": 1 / row.ratio.value, "low": low, "high": high}
            found[which]["behind"] = row.outcome == "faster"
        left = {which: left[which] for which in left if again and found[which].get("behind")}
        budget *= 2
    return found


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of quantization.py")
    parser.add_argument("--only", nargs="*", default=list(SAMPLES))
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for each setting")
    options = parser.parse_args()
    from onnxopt import catalogue
    from onnxopt.errors import OnnxoptError

    kernels = catalogue.backend("cpu").target().integer
    saturates = kernels is not None and kernels.saturates
    to = f"quantization_pairs{'_without_vnni' if saturates else ''}"
    for name in options.only:
        model = Model(name, options.work, None)
        rows = rows_of(model)
        files = rivals(model, rows)
        metrics = {which: row["metric"] for which, row in rows.items() if "metric" in row}
        said: dict[str, Any] = {"metrics": metrics}
        for threads, batch in SETTINGS if files else ():
            key = f"threads_{threads}" + (f"_batch_{batch}" if batch > 1 else "")
            try:
                said[key] = pairs(model, files, (threads, batch), options.budget)
            except OnnxoptError as error:  # a model whose batch is fixed
                said[key] = {"error": str(error)[-200:]}
        print(name, said, flush=True)
        write_results(to, {"models": {name: said}}, part=True)


if __name__ == "__main__":
    main()
