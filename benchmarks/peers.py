"""Run one optimizer on one model file, in a process of its own, and say what it cost.

    python benchmarks/peers.py onnxslim model.onnx slim.onnx

Peers are taken from the environment of this interpreter (see peers.sh), onnxopt from PATH. Those
with a command line are run by it, the others by a few lines of Python.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from common import run_measured

_ONNXSCRIPT = """
import sys, onnx_ir as ir, onnxscript.optimizer
model = ir.load(sys.argv[1])
onnxscript.optimizer.optimize(model)
ir.save(model, sys.argv[2], external_data=sys.argv[3] if len(sys.argv) > 3 else None)
"""
_ORT = """
import sys, onnxruntime as ort
options = ort.SessionOptions()
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_{level}
options.optimized_model_filepath = sys.argv[2]
if len(sys.argv) > 3:
    key = "session.optimized_model_external_initializers_file_name"
    options.add_session_config_entry(key, sys.argv[3])
ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
"""
_ORT_TRANSFORMERS = """
import sys
from onnxruntime.transformers import optimizer
optimizer.optimize_model(sys.argv[1]).save_model_to_file(sys.argv[2])
"""
PEERS = ("onnxsim", "onnxslim", "onnxoptimizer", "onnxscript", "ort-basic", "ort-extended")
ORT_TRANSFORMERS = "ort-transformers"
ONNXOPT = "onnxopt"


def command(name: str, source: Path, target: Path, *, external: bool = False) -> list[str]:
    """Return the command of an optimizer; ``external`` asks for external data in what it writes."""
    files = [str(source), str(target)]
    beside = [f"{target.name}.data"] if external else []
    programs = Path(sys.executable).parent
    if name == ONNXOPT:
        return [shutil.which(ONNXOPT) or ONNXOPT, "optimize", files[0], "-o", files[1]]
    if name in ("onnxsim", "onnxslim"):
        return [str(programs / name), *files, *(["--save-as-external-data"] if external else [])]
    if name == "onnxoptimizer":
        return [sys.executable, "-m", "onnxoptimizer", *files]
    if name == "onnxscript":
        return [sys.executable, "-c", _ONNXSCRIPT, *files, *beside]
    if name == ORT_TRANSFORMERS:
        return [sys.executable, "-c", _ORT_TRANSFORMERS, *files]
    level = name.removeprefix("ort-").upper()
    return [sys.executable, "-c", _ORT.format(level=level), *files, *beside]


def run_peer(
    name: str, source: Path, target: Path, limit: float = 600, *, external: bool = False
) -> dict[str, Any]:
    """Optimize a file; say whether it worked, and what the whole process took."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.with_name(target.name + ".data").unlink(missing_ok=True)
    asked = command(name, source.resolve(), target.resolve(), external=external)
    ran = run_measured(asked, limit, cwd=target.parent)
    ok = ran.status == 0 and target.exists()
    return {
        "ok": ok,
        "status": ran.status,
        "seconds": round(ran.seconds, 3),
        "peak_mb": round(ran.peak_mb, 1),
        "problem": "" if ok else ran.tail[-300:],
    }


def main() -> None:
    """Read the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*PEERS, ORT_TRANSFORMERS, ONNXOPT])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--limit", type=float, default=600, help="seconds")
    parser.add_argument("--external", action="store_true", help="write weights beside the model")
    options = parser.parse_args()
    ran = run_peer(
        options.name, options.source, options.target, options.limit, external=options.external
    )
    print(json.dumps(ran, indent=1))
    sys.exit(not ran["ok"])


if __name__ == "__main__":
    main()
