"""Make results/SUMMARY.md from the JSON files beside it."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import exporting_summary
import pruning_summary
import quantization_summary as quantized
from common import RESULTS, read_results
from measuring import summary as measuring
from peers import ONNXOPT, PEERS
from quality import correct

Lines = list[str]


def table(head: list[str], rows: list[list[object]]) -> Lines:
    """Return a markdown table."""
    cells: list[list[object]] = [[*head], ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in row) + " |" for row in cells]


def short(value: object, digits: int = 2) -> str:
    """Return a number with few digits; a dash for what is missing."""
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return "-" if value is None else str(value)


def quality(said: dict[str, Any]) -> Lines:
    """Return what was kept and how many nodes run, a line a model."""
    models = said["models"]
    rows, counted = [], []
    for name, entry in models.items():
        verdict, files = entry["verdict"], entry["files"]
        if "runs" not in verdict:
            continue
        counted.append(verdict)
        checks = ("correct", "at_full", "interface", "checker")
        faults = [what for what in checks if not verdict[what]]
        faults += [f"lost {verdict['lost']}"] if verdict["lost"] else []
        original = files["original"]
        nodes = files[ONNXOPT].get("nodes")
        row = [name, f"{original['nodes']} → {short(nodes)}", original["runs"]]
        row += [short(verdict["runs"]), short(verdict["best_runs"]), short(verdict["best_peer"])]
        metric = verdict.get("metric")
        same = "" if metric is None else "same" if metric["unchanged"] else str(metric)
        rows.append(
            [*row, "yes" if verdict["no_more_nodes"] else "**no**", same, "; ".join(faults)]
        )
    if not counted:
        return ["onnxopt has not been compared yet."]
    checks = ("correct", "at_full", "interface", "checker", "no_more_nodes")
    totals = [f"{check} {sum(v[check] for v in counted)}" for check in checks]
    head = ["model", "nodes", "original runs", "onnxopt runs", "best peer runs", "best peer"]
    head += ["no more", "metric", "faults"]
    return [f"{len(counted)} models: {', '.join(totals)}.", "", *table(head, rows)]


def peers(said: dict[str, Any]) -> Lines:
    """Return how each optimizer did over all models."""
    rows = []
    for name in (*PEERS, ONNXOPT):
        found = [e["files"][name] for e in said["models"].values() if name in e["files"]]
        if not found:
            continue
        good = [facts for facts in found if correct(facts)]
        broken = sum(1 for facts in found if facts["ok"] and not correct(facts))
        failed = sum(1 for facts in found if not facts["ok"])
        peak = sorted(facts["peak_mb"] for facts in found)
        middle = len(found) // 2
        memory = f"{peak[middle]:.0f} / {peak[-1]:.0f}"
        rows.append([name, f"{len(good)}/{len(found)}", failed, broken, memory])
    head = ["optimizer", "correct", "failed", "wrote a wrong file"]
    return table([*head, "peak MB, median / max"], rows)


def wall(said: dict[str, Any]) -> Lines:
    """Return seconds of the whole process."""
    names = sorted({name for entry in said["models"].values() for name in entry["medians"]})
    rows = [
        [model, *(short(entry["medians"].get(n)) for n in names), short(entry.get("ratio"))]
        for model, entry in said["models"].items()
    ]
    return table(["model", *names, "onnxopt / faster peer"], rows)


def scaling(said: dict[str, Any]) -> Lines:
    """Return seconds and memory on long chains and heavy weights."""
    rows = [
        [
            model,
            short(entry["nodes"]),
            name,
            short(facts.get("nodes")) if facts["ok"] else "fails",
            short(facts["seconds"]),
            short(facts["over_interpreter_mb"], 0),
        ]
        for model, entry in said["models"].items()
        for name, facts in entry["optimizers"].items()
    ]
    head = ["model", "nodes", "optimizer", "nodes left", "s", "peak MB over Python"]
    copies = [
        f"`cp` copies the data of {model} in {short(entry['copy_seconds'])} s."
        for model, entry in said["models"].items()
        if "copy_seconds" in entry
    ]
    return [*table(head, rows), *([""] if copies else []), *copies]


def latency(said: dict[str, Any]) -> Lines:
    """Return how latency compares with the originals' and with peers', and where it is worse."""
    pairs = [(m, n, facts) for m, entry in said["models"].items() for n, facts in entry.items()]
    pairs = [(model, name, facts) for model, name, facts in pairs if "problem" not in facts]
    lines = [f"{said['threads']} thread(s).", ""]
    for name in dict.fromkeys(name for _, name, _ in pairs):
        mine = [facts for _, other, facts in pairs if other == name]
        middle = statistics.median(facts["ratio"] for facts in mine)
        faster, slower = (sum(facts[key] for facts in mine) for key in ("faster", "slower"))
        said_of = f"faster {faster}, slower {slower}, no difference {len(mine) - faster - slower}"
        lines.append(f"* over {name}: {said_of} of {len(mine)}; median ratio {short(middle, 3)}")
    losses = [
        [model, name, "" if facts.get("correct", True) else "its file is wrong", *spans(facts)]
        for model, name, facts in pairs
        if facts["slower"]
    ]
    lines += ["", "Measurably slower than:", ""] if losses else []
    lines += table(["model", "file", "", *SPANS], losses) if losses else []
    rows = [
        [model, short(facts["ms"]), *spans(facts), "faster" if facts["faster"] else ""]
        for model, name, facts in pairs
        if name == "original"
    ]
    return [
        *lines,
        "",
        "Over the original:",
        "",
        *table(["model", "original ms", *SPANS, ""], rows),
    ]


SPANS = ["ratio", "95 % interval", "same file twice"]


def spans(facts: dict[str, Any]) -> list[str]:
    """Return a ratio, its interval and the noise floor."""
    ends = [" to ".join(short(end, 3) for end in facts[key]) for key in ("interval", "noise")]
    return [short(facts["ratio"], 3), *ends]


def node_tests(said: dict[str, Any]) -> Lines:
    """Return the outcomes of ONNX's backend node tests."""
    outcomes = ", ".join(f"{outcome}: {count}" for outcome, count in said["outcomes"].items())
    failures = [f"- {e['name']}: {e['outcome']} {e.get('why', '')}" for e in said["failures"]]
    return [f"{said['tests']} tests: {outcomes}. Ran on: {said['evaluators']}.", "", *failures]


def startup(said: dict[str, Any]) -> Lines:
    """Return the seconds of the two doors."""
    rows = [
        [name, short(facts["min"], 3), short(facts["median"], 3)]
        for name, facts in said["seconds"].items()
    ]
    return table(["what", "min s", "median s"], rows)


def difference(said: dict[str, Any]) -> Lines:
    """Return the seconds that telling two graphs apart takes."""
    rows = [[name, short(seconds)] for name, seconds in said["seconds"].items()]
    return [f"A chain of {said['nodes']:,} nodes against:", "", *table(["what", "s"], rows)]


def canonical(said: dict[str, Any]) -> Lines:
    """Return what both exporters' files of a network end in, a line a network."""
    models = dict(sorted(said["models"].items()))
    same = sum(not entry["difference"] for entry in models.values())
    head = ["network", "nodes, TorchScript", "nodes, torch.export", "difference", "attentions"]
    rows = []
    for name, entry in models.items():
        parted = [f"{kind} {one}/{other}" for kind, (one, other) in entry["difference"].items()]
        found = sorted(set(entry["attentions"].values()))
        whole = " / ".join(map(str, found)) + f" of {entry['expected']}"
        attentions = whole if entry["expected"] else "-"
        rows.append([name, *entry["nodes"].values(), ", ".join(parted) or "none", attentions])
    told = f"{same} of {len(models)} networks end in the same operators in the same numbers."
    return [told, "", *table(head, rows)]


def calibration(said: dict[str, Any]) -> Lines:
    """Return what every calibrator costs beside plain inference, and a peer's for each image."""
    rows: list[list[object]] = [
        [name, *(short(f[k]) for k in ("seconds", "times_plain")), short(f["mb_above_plain"], 0)]
        for name, f in said["onnxopt"].items()
    ]
    head = ["onnxopt", "s", "times plain inference", "MB above it"]
    each: list[list[object]] = [
        [name, short(f["seconds_an_image"], 3), short(f["mb_an_image"], 1)]
        for name, f in said["onnxruntime"].items()
    ]
    told = f"{said['samples']} images through a ResNet-50 on all cores."
    peer = ["ONNX Runtime", "s an image", "MB an image"]
    return [told, "", *table(head, rows), "", *table(peer, each)]


def profiling(said: dict[str, Any]) -> Lines:
    """Return what recording adds to a run, and how much of one the nodes explain."""
    rows: list[list[object]] = [
        [name, f["nodes"], short(f["slower"]), short(f["as_recorded"]), short(f["explained"])]
        for name, f in said["models"].items()
        if "nodes" in f
    ]
    head = ["model", "nodes that run", "run with recording", "nodes as recorded", "as told"]
    return ["Times of a run without recording, one thread.", "", *table(head, rows)]


def releases(said: dict[str, Any]) -> Lines:
    """Return the newest operator set and version of the format of each release, a line each."""
    rows: list[list[object]] = [
        [name, found["opset"], found["format"]] for name, found in said["releases"].items()
    ]
    return table(["ONNX Runtime", "operator set", "format"], rows)


SECTIONS: dict[str, tuple[str, list[Callable[[dict[str, Any]], Lines]]]] = {
    "quality": ("Quality", [peers, quality]),
    "canonical": ("One form from both exporters", [canonical]),
    "exporting": ("Exports", [exporting_summary.exporting]),
    "deploying": ("Deployments", [exporting_summary.deploying]),
    "wall": ("Wall time of the whole process, seconds", [wall]),
    "latency": ("Latency at ONNX Runtime's full level", [latency]),
    "scaling": ("Scaling", [scaling]),
    "calibration": ("Calibration", [calibration]),
    "pruning_coverage": ("Pruning: coverage", [pruning_summary.coverage]),
    "pruning": ("Pruning", [pruning_summary.pruning]),
    "pruning_peers": ("Pruning by onnxsim and by Torch-Pruning", [pruning_summary.peers]),
    "composition": ("Pruning and quantizing", [pruning_summary.composition]),
    "quantization": ("Quantizing, for ONNX Runtime", [quantized.quantization]),
    "quantization_pairs": ("Quantizing, beside ONNX Runtime's own files", [quantized.pairs]),
    "quantization_pairs_without_vnni": (
        "Quantizing, beside ONNX Runtime's own files, on a processor without VNNI",
        [quantized.pairs],
    ),
    "dynamic_layers": ("Scales from samples or of every run", [quantized.dynamic_layers]),
    "with_openvino": ("Quantizing, for OpenVINO", [quantized.openvino]),
    "few_bits": ("Few bits, weight by weight", [quantized.few_bits]),
    "recovery": ("Few bits, with and without recovery", [quantized.recovery]),
    "portability": ("Int8 where sums saturate", [quantized.portability]),
    "node_tests": ("ONNX's backend node tests", [node_tests]),
    "startup": ("Start", [startup]),
    "difference": ("Graph difference", [difference]),
    "profiling": ("Profiling", [profiling]),
    "releases": ("What releases of ONNX Runtime open", [releases]),
    "measuring_aa": ("Measuring: a model against itself", [measuring.aa]),
    "measuring_planted": ("Measuring: a planted difference", [measuring.planted]),
    "measuring_loaded": ("Measuring: true ratios under load", [measuring.loaded]),
    "measuring_spinning": ("Measuring: a neighbour that spins", [measuring.spinning]),
    "measuring_agreement": ("Measuring: agreement", [measuring.agreement]),
    "measuring_between": ("Measuring: from run to run", [measuring.between]),
    "measuring_coverage": ("Measuring: coverage", [measuring.coverage]),
    "measuring_verdict": ("Measuring: time to a verdict", [measuring.verdict]),
}


def main() -> None:
    """Read every result there is and write the summary."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    lines = ["# Benchmarks", "", "Made by `benchmarks/report.py`; README.md says how to repeat it."]
    for name, (title, parts) in SECTIONS.items():
        said = read_results(name)
        if not said:
            continue
        host = said["host"]
        flags = f" ({', '.join(host['flags'])})" if host.get("flags") else ""
        lines += ["", f"## {title}", "", f"{host['cpu']}{flags}, {host['cores']} cores.", ""]
        for part in parts:
            lines += [*part(said), ""]
    path = RESULTS / "SUMMARY.md"
    path.write_text("\n".join(lines).rstrip() + "\n")
    print(path)


if __name__ == "__main__":
    main()
