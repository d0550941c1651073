"""Prune, quantize, and do both: what is left of the product of the two gains.

Models of the corpus are pruned to a share of their latency as `pruning.py` does, and the model
given and the pruned one are quantized to int8 on the same samples. All four are measured side by
side on one thread; `kept` is the speed of both over the product of the speeds of each alone. Writes
results/composition.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pruning
from common import run_measured, write_results

CASES = [case for case in pruning.CASES if case.goal == "latency"]
LIMIT_S = 1800.0


def quantize(given: Path, to: Path, samples: Path) -> str | None:
    """Quantize to int8 in a process of its own; return the problem, if any."""
    if to.exists():
        return None
    program = str(Path(sys.executable).with_name("onnxopt"))
    command = [program, "quantize", str(given), "-o", str(to), "--scheme", "int8"]
    ran = run_measured([*command, "--samples", str(samples), "--no-measure"], LIMIT_S)
    return ran.tail[-300:] if ran.status else None


def compose(case: pruning.Case, work: Path) -> dict[str, Any]:
    """Make the four files of a case and measure them."""
    import onnxopt

    given = pruning.model_of(case, work)
    thin, row = pruning.prune(case, 0, work)
    if "error" in row:
        return row
    files = [given, thin]
    for source, name in ((given, case.model), (thin, case.name)):
        to = work / f"{name}-int8.onnx"
        problem = quantize(source, to, pruning.samples_of(case, 0, work))
        if problem:
            return {"error": problem}
        files.append(to)
    report = onnxopt.bench(*files, threads=1, budget=40.0)
    speeds = [1 / each.ratio.value for each in report.rows[1:] if each.ratio is not None]
    if len(speeds) < len(files) - 1:
        return {"error": "; ".join(each.error for each in report.rows if each.error)}
    pruned, quantized, both = speeds
    scores = [pruning.score(case, given, each).get("metric") for each in files]
    return {
        "pruned": pruned,
        "quantized": quantized,
        "both": both,
        "kept": both / (pruned * quantized),
        "metrics": dict(zip(("given", "pruned", "quantized", "both"), scores, strict=True)),
    }


def main() -> None:
    """Read the command line, make, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is made")
    parser.add_argument("--only", nargs="*", help="cases or models; all by default")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if options.only and not {case.name, case.model} & set(options.only):
            continue
        found = compose(case, options.work)
        print(case.name, json.dumps(found), flush=True)
        write_results("composition", {"models": {case.name: found}}, part=True)


if __name__ == "__main__":
    main()
