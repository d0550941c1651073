"""Measure seconds and peak memory on long chains and on heavy weights.

Peak memory is that of the whole process less that of a bare interpreter. Peers are slow here
(some take minutes on a chain), so only onnxopt runs unless --peers names them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

from common import HERE, in_time, read_results, run_measured, write_results
from peers import ONNXOPT, PEERS, run_peer


class Model(NamedTuple):
    """A model of large_models.py."""

    kind: str
    size: int

    @property
    def name(self) -> str:
        """Return its file's stem."""
        return f"{self.kind}_{self.size}"


MODELS = (
    Model("chain", 20_000),
    Model("chain", 40_000),
    Model("inline", 1_500),
    Model("external", 3_000),
)


def make(model: Model, folder: Path) -> Path:
    """Write the model where it is missing, in a process of its own."""
    path = folder / f"{model.name}.onnx"
    if not path.exists():
        script = str(HERE / "large_models.py")
        command = [sys.executable, script, model.kind, "--size", str(model.size), str(path)]
        ran = run_measured(command, 600)
        if ran.status:
            raise SystemExit(f"cannot write {path.name}: {ran.tail}")
    return path


def count_nodes(path: Path) -> int | None:
    """Count the nodes of a file, in a process of its own."""
    line = "import sys, onnx; m = onnx.load(sys.argv[1], load_external_data=False)"
    command = [sys.executable, "-c", f"{line}; print(len(m.graph.node))", str(path)]
    ran = run_measured(command, 120)
    return int(ran.tail) if ran.status == 0 else None


def measure(name: str, model: Model, path: Path, rounds: int, limit: float) -> dict[str, Any]:
    """Run one optimizer on one model; return medians over the rounds."""
    target = path.parent / "out" / f"{name}.onnx"
    external = model.kind == "external"
    runs = [run_peer(name, path, target, limit, external=external) for _ in range(rounds)]
    said: dict[str, Any] = {"ok": all(run["ok"] for run in runs), "problem": runs[0]["problem"]}
    said["seconds"] = statistics.median(run["seconds"] for run in runs)
    said["peak_mb"] = max(run["peak_mb"] for run in runs)
    if said["ok"]:
        said["nodes"] = count_nodes(target)
    for file in target.parent.glob("*"):
        file.unlink()
    return said


def copy(path: Path, rounds: int, limit: float) -> float:
    """Return the seconds in which ``cp`` copies a model's data, which writing it cannot beat."""
    data, target = path.with_name(f"{path.name}.weights"), path.parent / "out" / "copy.data"
    taken = [run_measured(["cp", str(data), str(target)], limit).seconds for _ in range(rounds)]
    target.unlink()
    return statistics.median(taken)


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for the models, 5 GB")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=[])
    parser.add_argument("--without-onnxopt", action="store_true")
    parser.add_argument("--models", nargs="*", help="chain_20000, inline_1500, …; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--for", dest="seconds", type=float, help="start no model after so many seconds"
    )
    parser.add_argument("--limit", type=float, default=600, help="seconds a process")
    options = parser.parse_args()
    bare = run_measured([sys.executable, "-c", "pass"], 60).peak_mb
    results = read_results("scaling").get("models", {})
    wanted = [m for m in MODELS if not options.models or m.name in options.models]
    for model in in_time(wanted, options.seconds):
        path = make(model, options.folder)
        nodes, megabytes = (
            count_nodes(path),
            sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")),
        )
        before = results.get(model.name, {}).get("optimizers", {})
        results[model.name] = {"nodes": nodes, "mb": megabytes / 1e6, "optimizers": before}
        for name in [*options.peers, *([] if options.without_onnxopt else [ONNXOPT])]:
            said = measure(name, model, path, options.rounds, options.limit)
            said["over_interpreter_mb"] = said["peak_mb"] - bare
            results[model.name]["optimizers"][name] = said
            print(model.name, name, said, flush=True)
        if model.kind == "external":
            results[model.name]["copy_seconds"] = copy(path, options.rounds, options.limit)
            print(model.name, "cp", results[model.name]["copy_seconds"], flush=True)
        write_results("scaling", {"interpreter_mb": bare, "models": results})


if __name__ == "__main__":
    main()
