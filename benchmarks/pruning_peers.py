"""Prune the corpus' networks with onnxsim, which prunes ONNX files too, and with Torch-Pruning.

PEERS is the python of an environment that has them (`peers.sh`). onnxsim's structured pruning
takes each model at two sparsities; Torch-Pruning takes the CIFAR networks, rebuilt in torch, at two
shares of the multiply-adds, by group magnitude and in one shot, as without training there is no
second. Each in a process of its own: what is left of multiply-adds and of the metric, or the
problem. Writes results/pruning_peers.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pruning
from common import run_measured, write_results

MODELS = (
    "cifar10_resnet20",
    "cifar10_resnet56",
    "imagenet_squeezenet",
    "imagenet_mobilenetv2",
    "sst2_tiny_encoder",
)
SPARSITIES = (0.3, 0.5)
SHARES = (0.7, 0.5)
TORCH = str(Path(__file__).with_name("torch_pruning_peer.py"))
PRUNE = """
import sys, onnx, onnxsim
model = onnxsim.apply_structured_pruning(onnx.load(sys.argv[1]), sparsity=float(sys.argv[3]))
onnx.save(model, sys.argv[2])
"""
LIMIT_S = 300.0


def prune(peer: str, model: str, number: float, python: Path, work: Path) -> dict[str, Any]:
    """Prune one model and score what came out."""
    case = pruning.Case(model, "macs", number, 0)
    given, to = pruning.model_of(case, work), work / f"{model}-{peer}-{number:g}.onnx"
    code = ["-c", PRUNE] if peer == "onnxsim" else [TORCH]
    ran = run_measured([str(python), *code, str(given), str(to), str(number)], LIMIT_S)
    if ran.status:
        return {"error": ran.tail.strip().splitlines()[-1][-200:]}
    try:
        return {**pruning.amounts(given, to), **pruning.score(case, given, to)}
    except Exception as problem:  # whatever the peer's file breaks
        return {"error": f"{type(problem).__name__}: {problem}"[:200]}


def main() -> None:
    """Read the command line, prune, score and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is made")
    parser.add_argument("--peers", type=Path, required=True, help="python that has them")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    asked = [("onnxsim", model, number) for model in MODELS for number in SPARSITIES]
    asked += [("torch-pruning", model, number) for model in MODELS[:2] for number in SHARES]
    for peer, model, number in asked:
        found = prune(peer, model, number, options.peers, options.work)
        print(peer, model, number, json.dumps(found), flush=True)
        write_results("pruning_peers", {"models": {f"{peer}-{model}-{number:g}": found}}, part=True)


if __name__ == "__main__":
    main()
