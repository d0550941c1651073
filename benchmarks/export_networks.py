"""Export every network of `networks/` by both of torch's exporters, with feeds and outputs.

Each network runs in a process of its own with a time limit. OUT/<network>.<exporter>/ holds
model.onnx, feeds_<0|1>.npz, expected_<0|1>.npz (computed by torch) and info.json; a failed export
leaves info.json with its reason. A network that is there already is left alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXPORTERS = ("torchscript", "dynamo")
TOLERANCE = 1e-3

Axes = dict[str, dict[int, str]]


def export_torchscript(network: Any, feeds: Mapping[str, Any], axes: Axes, path: Path) -> None:
    """Trace the module and write it at opset 17."""
    import torch

    torch.onnx.export(
        network.module,
        tuple(feeds.values()),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=list(feeds),
        output_names=list(network.outputs),
        dynamic_axes=axes,
    )


def export_dynamo(network: Any, feeds: Mapping[str, Any], axes: Axes, path: Path) -> None:
    """Export through ``torch.export`` at the exporter's own opset and optimization."""
    import torch

    torch.onnx.export(
        network.module,
        tuple(feeds.values()),
        str(path),
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=list(feeds),
        output_names=list(network.outputs),
        dynamic_shapes={"tensors": tuple(axes.get(name, {}) for name in feeds)} if axes else None,
    )


def worst_difference(path: Path, folder: Path) -> float:
    """Run the export without optimization; return the worst error over the scale of its output."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kept = {value.name for value in session.get_inputs()}
    worst = 0.0
    for index in (0, 1):
        recorded = np.load(folder / f"feeds_{index}.npz")
        feeds = {name: recorded[name] for name in recorded if name in kept}
        np.savez(folder / f"feeds_{index}.npz", **feeds)  # an exporter drops what it does not use
        expected = np.load(folder / f"expected_{index}.npz")
        got = session.run(list(expected), feeds)
        for mine, (name, want) in zip(got, expected.items(), strict=True):
            if mine.shape != want.shape:
                raise ValueError(f"output '{name}' has shape {mine.shape}, torch has {want.shape}")
            scale = max(float(np.abs(want).max()), 1e-6)
            worst = max(worst, float(np.abs(mine - want).max()) / scale)
    return worst


def attempts(network: Any) -> dict[str, tuple[Axes, tuple[Any, Any]]]:
    """Return what is tried in turn: every free axis, the batch alone, none."""
    first, second = network.sizes
    batch = {name: {0: axes[0]} for name, axes in network.dynamic.items() if 0 in axes}
    return {
        "all": ({name: dict(axes) for name, axes in network.dynamic.items()}, (first, second)),
        "batch": (batch, (first, second._replace(length=first.length))),
        "none": ({}, (first, first)),
    }


def record(network: Any, sizes: tuple[Any, Any], folder: Path) -> dict[str, Any]:
    """Store the feeds and torch's outputs at both sizes; return the feeds of the first."""
    import numpy as np
    import torch

    stored = []
    for index, size in enumerate(sizes):
        torch.manual_seed(100 + index)
        feeds = network.feeds(size)
        with torch.no_grad():
            results = network.module(*feeds.values())
        named = zip(network.outputs, results, strict=True)
        np.savez(folder / f"feeds_{index}.npz", **{k: v.numpy() for k, v in feeds.items()})
        np.savez(folder / f"expected_{index}.npz", **{k: v.numpy() for k, v in named})
        stored.append(feeds)
    return stored[0]


def export_once(build: Any, exporter: str, folder: Path) -> dict[str, object]:
    """Export with as many free axes as work; return the facts for info.json."""
    import torch

    reasons: dict[str, str] = {}
    write = export_torchscript if exporter == "torchscript" else export_dynamo
    for free in ("all", "batch", "none"):
        network = build()
        axes, sizes = attempts(network)[free]
        started = time.perf_counter()
        try:
            feeds = record(network, sizes, folder)
            with torch.no_grad():
                write(network, feeds, axes, folder / "model.onnx")
            error = worst_difference(folder / "model.onnx", folder)
            if not error < TOLERANCE:
                raise ValueError(f"differs from torch by {error:.1e}")
        except Exception as problem:  # an exporter may fail in any way, and the reason is a result
            (folder / "model.onnx").unlink(missing_ok=True)
            reasons[free] = f"{type(problem).__name__}: {str(problem).strip()[:300]}"
            continue
        seconds = round(time.perf_counter() - started, 1)
        return {"ok": True, "free": free, "error": error, "seconds": seconds, "failed": reasons}
    return {"ok": False, "failed": reasons}


def export_one(name: str, out: Path, exporters: list[str]) -> None:
    """Export one network, in this process."""
    import networks

    warnings.filterwarnings("ignore")
    for exporter in exporters:
        folder = out / f"{name}.{exporter}"
        if (folder / "info.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        info = export_once(networks.catalogue()[name], exporter, folder)
        info = {"network": name, "exporter": exporter, **info}
        (folder / "info.json").write_text(json.dumps(info, indent=1))
        gc.collect()


def run_limited(command: list[str], seconds: float, log: Path) -> str:
    """Run a command and whatever it starts under a time limit; return '' or what went wrong."""
    with log.open("w") as stream:
        child = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return f"no result in {seconds:.0f} s"
    return f"exit status {status}" if status else ""


def summarize(out: Path) -> None:
    """Write OUT/STATUS.md from every info.json."""
    infos = [json.loads(p.read_text()) for p in sorted(out.glob("*.*/info.json"))]
    done = [i for i in infos if i["ok"]]
    lines = [
        f"{len(done)} exports of {len(infos)} tried, {len({i['network'] for i in done})} networks.",
        "",
        "| network | exporter | free axes | worst error against torch | reasons |",
        "|---|---|---|---|---|",
    ]
    for info in infos:
        reasons = "; ".join(f"{k}: {v[:120]}" for k, v in info["failed"].items())
        reasons = reasons.replace("\n", " ").replace("|", "/")
        result = f"{info['free']} | {info['error']:.1e}" if info["ok"] else "**failed** |"
        lines.append(f"| {info['network']} | {info['exporter']} | {result} | {reasons} |")
    (out / "STATUS.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the exports")
    parser.add_argument("--only", nargs="*", help="names of networks; all by default")
    parser.add_argument("--exporter", choices=EXPORTERS, action="append")
    parser.add_argument("--limit", type=float, default=400, help="seconds a network and exporter")
    parser.add_argument("--here", action="store_true", help="in this process, without a limit")
    options = parser.parse_args()
    exporters = options.exporter or list(EXPORTERS)
    if options.here:
        for name in options.only:
            export_one(name, options.out, exporters)
        return
    import networks

    for name in options.only or networks.catalogue():
        for exporter in exporters:
            folder = options.out / f"{name}.{exporter}"
            if (folder / "info.json").exists():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, __file__, "--here", "--out", str(options.out)]
            command += ["--only", name, "--exporter", exporter]
            problem = run_limited(command, options.limit, folder / "log.txt")
            if not (folder / "info.json").exists():
                info = {"network": name, "exporter": exporter, "ok": False}
                info["failed"] = {"process": problem}
                (folder / "info.json").write_text(json.dumps(info, indent=1))
            print(name, exporter, (folder / "info.json").read_text().replace("\n", "")[:200])
            summarize(options.out)


if __name__ == "__main__":
    main()
