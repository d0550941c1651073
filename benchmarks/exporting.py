"""Export every network of `networks/` through onnxopt, by both of torch's exporters.

Each network runs in a process of its own with a time limit, with its axes open and with all sizes
fixed. OUT/<network>.<exporter>.<axes>.json holds the export's report, or the reason why there is
none; what is there already is left alone. OUT/SUMMARY.md and results/exporting.json are written
after each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import write_results
from export_networks import run_limited

EXPORTERS = ("dynamo", "torchscript")
AXES = ("open", "fixed")
RELATED = {"total": "past + 3"}
"""What networks call an axis that depends on another, in the notation of onnxopt."""


def attempts(exporter: str) -> tuple[str, ...]:
    """Return the ways that count as one of torch's exporters."""
    return ("dynamo", "dynamo-unoptimized") if exporter == "dynamo" else (exporter,)


def export_once(network: Any, exporter: str, axes: str, out: Path) -> dict[str, Any]:
    """Export a network; return the report, with every refusal on the way."""
    import torch

    from onnxopt import export_with_report, save
    from onnxopt.errors import OnnxoptError
    from onnxopt.samples import Samples

    torch.manual_seed(100)
    first, second = (network.feeds(size) for size in network.sizes)
    dynamic = {
        name: {axis: RELATED.get(dim, dim) for axis, dim in each.items()}
        for name, each in network.dynamic.items()
    }
    refusals = {}
    for way in attempts(exporter):
        started = time.perf_counter()
        try:
            model, report = export_with_report(
                network.module,
                first,
                dynamic=dynamic if axes == "open" else "none",
                outputs=network.outputs,
                exporter=way,
                samples=Samples.of([second]) if axes == "open" else None,
            )
        except OnnxoptError as problem:
            refusals[way] = str(problem)
            continue
        save(model, out)
        return {
            "ok": True,
            "way": way,
            "error": max(each.relative for each in report.agreed),
            "trials": [str(each) for each in report.agreed],
            "mended": report.mended,
            "notes": report.notes,
            "nodes": report.size.nodes,
            "seconds": round(time.perf_counter() - started, 1),
            "refused": refusals,
        }
    return {"ok": False, "refused": refusals}


def export_one(name: str, exporter: str, out: Path) -> None:
    """Export one network with open and with fixed axes, in this process."""
    import networks

    warnings.filterwarnings("ignore")
    for axes in AXES:
        path = out / f"{name}.{exporter}.{axes}.json"
        if not path.exists():
            model = out / f"{name}.{exporter}.{axes}.onnx"
            found = export_once(networks.catalogue()[name](), exporter, axes, model)
            model.unlink(missing_ok=True)
            found = {"network": name, "exporter": exporter, "axes": axes, **found}
            path.write_text(json.dumps(found, indent=1))


def records(out: Path) -> Iterator[dict[str, Any]]:
    """Yield every result."""
    for path in sorted(out.glob("*.*.json")):
        yield json.loads(path.read_text())


def summarize(out: Path) -> None:
    """Write OUT/SUMMARY.md from all results."""
    found = list(records(out))
    names = {each["network"] for each in found}
    lines = [f"{len(names)} networks, {len(found)} exports.", ""]
    lines += ["| exporter | axes | equal to torch | refused |", "|---|---|---|---|"]
    for exporter in EXPORTERS:
        for axes in AXES:
            mine = [e for e in found if e["exporter"] == exporter and e["axes"] == axes]
            equal = sum(each["ok"] for each in mine)
            lines.append(f"| {exporter} | {axes} | {equal} | {len(mine) - equal} |")
    served = {each["network"] for each in found if each["ok"] and each["axes"] == "open"}
    lines += ["", f"With open axes by one exporter at least: {len(served)} of {len(names)}.", ""]
    lines += ["| network | exporter | axes | worst error | taken | refused |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [_line(each) for each in found]
    (out / "SUMMARY.md").write_text("\n".join(lines) + "\n")
    kept = ("ok", "way", "error", "nodes", "seconds", "refused")
    exports = {
        "{network}.{exporter}.{axes}".format(**each): {
            key: each[key] for key in kept if key in each
        }
        for each in found
    }
    write_results("exporting", {"exports": exports})


def _line(each: dict[str, Any]) -> str:
    reasons = "; ".join(f"{way}: {why}" for way, why in each["refused"].items())
    reasons = " ".join(reasons.replace("|", "/").split())[:400]
    result = f"{each['error']:.1e} | {each['way']}" if each["ok"] else "- | **none**"
    return f"| {each['network']} | {each['exporter']} | {each['axes']} | {result} | {reasons} |"


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--only", nargs="*", help="names of networks; all by default")
    parser.add_argument("--exporter", choices=EXPORTERS, action="append")
    parser.add_argument("--limit", type=float, default=400, help="seconds a network and exporter")
    parser.add_argument("--here", action="store_true", help="in this process, without a limit")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    exporters = options.exporter or list(EXPORTERS)
    if options.here:
        for name in options.only:
            for exporter in exporters:
                export_one(name, exporter, options.out)
        return
    import networks

    for name in options.only or networks.catalogue():
        for exporter in exporters:
            paths = [options.out / f"{name}.{exporter}.{axes}.json" for axes in AXES]
            if all(path.exists() for path in paths):
                continue
            command = [sys.executable, __file__, "--here", "--out", str(options.out)]
            command += ["--only", name, "--exporter", exporter]
            problem = run_limited(command, options.limit, options.out / "log.txt")
            for path, axes in zip(paths, AXES, strict=True):
                if not path.exists():
                    found = {"network": name, "exporter": exporter, "axes": axes, "ok": False}
                    path.write_text(json.dumps({**found, "refused": {"process": problem}}))
            print(name, exporter, *(json.loads(p.read_text())["ok"] for p in paths), flush=True)
            summarize(options.out)


if __name__ == "__main__":
    main()
