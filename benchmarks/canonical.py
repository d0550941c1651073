"""Whether both of torch's exporters end in one form: the same operators in the same numbers.

Every network that both exporters wrote goes through a target's default pipeline, verified; the
operators of the two results are counted and compared, and the attentions in them held against the
number that the network has by its configuration. Writes results/canonical.json after each network;
``--keep`` leaves out those that are there already.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from common import read_results, write_results

EXPORTERS = ("torchscript", "dynamo")
ATTENTIONS = {
    "albert": 3,
    "attention_einsum": 1,
    "audio_spectrogram": 2,
    "bart": 2 + 2 * 2,
    "beit": 3,
    "bert": 3,
    "bert_384": 4,
    "bloom": 3,
    "clip": 3 + 3,
    "deberta": 3,
    "deit": 3,
    "detr": 2 + 2 * 2,
    "dinov2": 3,
    "distilbert": 3,
    "electra": 3,
    "gemma": 3,
    "gpt2_with_past": 3,
    "gpt_neox": 3,
    "hubert": 2,
    "llama": 3,
    "llama_with_past": 3,
    "marian": 2 + 2 * 2,
    "mistral": 3,
    "mobilevit": 2 + 4 + 3,
    "mpnet": 3,
    "opt": 3,
    "qwen2": 3,
    "roberta": 3,
    "segformer": 1 + 2 + 2 + 1,
    "swin_tiny": 2 + 2 + 6 + 2,
    "swinv2": 2 + 2,
    "t5": 2 + 2 * 2,
    "t5_encoder": 2,
    "vit": 3,
    "wav2vec2": 2,
    "whisper_decoder": 2 * 2,
    "whisper_encoder": 2,
    "yolos": 3,
}
"""Layers, times the attentions in each: of encoders one, of decoders that read an encoder two."""

OPERATORS = ("Attention", "GroupQueryAttention", "MultiHeadAttention")


def counted(model: Any) -> Counter[str]:
    """Return how often each operator occurs, in subgraphs too."""
    found: Counter[str] = Counter()
    for node in model.graph.all_nodes():
        found[f"{node.domain}::{node.op_type}" if node.domain else node.op_type] += 1
    return found


def optimized(path: Path, target: str) -> tuple[Counter[str], list[str]]:
    """Return the operators of a model after the target's pipeline, and what was quarantined."""
    import onnxopt

    model, report = onnxopt.optimize_with_report(path, target=target)
    return counted(model), list(report.verification.quarantined)


def attentions(found: Counter[str]) -> int:
    """Return how many operators compute a whole attention."""
    return sum(number for name, number in found.items() if name.split("::")[-1] in OPERATORS)


def compared(name: str, folder: Path, target: str) -> dict[str, Any]:
    """Return what the exports of one network end in, and where they differ."""
    found = {}
    wrong: dict[str, list[str]] = {}
    for exporter in EXPORTERS:
        path = folder / f"{name}.{exporter}" / "model.onnx"
        found[exporter], wrong[exporter] = optimized(path, target)
    one, other = (found[exporter] for exporter in EXPORTERS)
    kinds = sorted(one.keys() | other.keys())
    difference = {kind: [one[kind], other[kind]] for kind in kinds if one[kind] != other[kind]}
    return {
        "nodes": {exporter: sum(counts.values()) for exporter, counts in found.items()},
        "difference": difference,
        "attentions": {exporter: attentions(counts) for exporter, counts in found.items()},
        "expected": ATTENTIONS.get(name, 0),
        "quarantined": {exporter: sites for exporter, sites in wrong.items() if sites},
        "operators": {exporter: dict(sorted(counts.items())) for exporter, counts in found.items()},
    }


def both(folder: Path) -> list[str]:
    """Return the networks that both exporters wrote."""
    names = {path.parent.name.rpartition(".")[0] for path in folder.glob("*.*/model.onnx")}
    files = {
        name: [folder / f"{name}.{each}" / "model.onnx" for each in EXPORTERS] for name in names
    }
    return sorted(name for name, paths in files.items() if all(path.exists() for path in paths))


def said(name: str, entry: dict[str, Any]) -> str:
    """Return one line on a network."""
    sizes = " and ".join(str(size) for size in entry["nodes"].values())
    found = "/".join(str(number) for number in entry["attentions"].values())
    attention = f", attentions {found} of {entry['expected']}" if entry["expected"] else ""
    same = "the same" if not entry["difference"] else f"differ: {entry['difference']}"
    wrong = f", quarantined {entry['quarantined']}" if entry["quarantined"] else ""
    return f"{name}: {sizes} nodes, {same}{attention}{wrong}"


def main() -> None:
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="filled by export_networks.py")
    parser.add_argument("--only", nargs="*", help="names of networks; all by default")
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--keep", action="store_true", help="leave out what is compared already")
    options = parser.parse_args()
    file = "canonical" if options.target == "cpu" else f"canonical_{options.target}"
    known = read_results(file).get("models", {}) if options.keep else {}
    for name in options.only or both(options.models):
        if name not in known:
            entry = compared(name, options.models, options.target)
            write_results(file, {"models": {name: entry}}, part=True)
            print(said(name, entry), flush=True)
    models = read_results(file).get("models", {})
    same = sum(not entry["difference"] for entry in models.values())
    whole = [all(n == m["expected"] for n in m["attentions"].values()) for m in models.values()]
    print(f"{same} of {len(models)} networks end the same; every attention found in {sum(whole)}")


if __name__ == "__main__":
    main()
