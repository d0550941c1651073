"""What the benchmarks share: the models, limited processes, results. Standard library only.

A process that is measured is a child of a small one, because Linux counts the parent's memory at
the moment of the fork in the child's peak.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

Item = TypeVar("Item")


class Case(NamedTuple):
    """A model with two recorded sizes of feeds in its folder."""

    name: str
    group: str
    model: Path
    folder: Path


def corpus_folder() -> Path:
    """Return the folder of real trained models: ONNXOPT_CORPUS or ``../shared/corpus``."""
    return Path(os.environ.get("ONNXOPT_CORPUS", HERE.parent.parent / "shared" / "corpus"))


def add_case_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which models are meant."""
    parser.add_argument(
        "--models",
        type=Path,
        required=True,
        help="folder filled by export_networks.py and gather_models.py",
    )
    parser.add_argument("--group", action="append", help="corpus, torchscript, dynamo, light, …")
    parser.add_argument("--only", nargs="*", help="names of models; all by default")


def add_resume_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a measurement that goes on where it stopped."""
    parser.add_argument(
        "--for", dest="seconds", type=float, help="start no model after so many seconds"
    )
    parser.add_argument("--again", action="store_true", help="forget what there is of these models")


def resumed(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what is measured already of the models, none of those that are to be done again."""
    done: dict[str, Any] = read_results(name).get("models", {})
    if not options.again:
        return done
    if not options.only and not options.group:
        return {}
    again = {case.name for case in cases(options)}
    return {model: said for model, said in done.items() if model not in again}


def in_time(items: Iterable[Item], seconds: float | None) -> Iterator[Item]:
    """Yield items until so many seconds have gone by."""
    end = time.monotonic() + (math.inf if seconds is None else seconds)
    for item in items:
        if time.monotonic() > end:
            return
        yield item


def selected(options: argparse.Namespace) -> bool:
    """Say whether the options mean only some of the models."""
    return bool(options.group or options.only)


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield the models the options mean, the corpus first."""
    found = []
    for path in options.models.glob("*/info.json"):
        info = json.loads(path.read_text())
        group = info.get("exporter", "")
        if not info["ok"] or (options.group and group not in options.group):
            continue
        name = path.parent.name
        if options.only and name not in options.only:
            continue
        model = Path(info.get("model", path.parent / "model.onnx"))
        found.append(Case(name, group, model, path.parent))
    yield from sorted(found, key=lambda case: (case.group != "corpus", case.group, case.name))


class Ran(NamedTuple):
    """How a process ended: exit status, wall seconds, peak resident megabytes, last output."""

    status: int
    seconds: float
    peak_mb: float
    tail: str


def run_measured(command: list[str], limit: float, *, cwd: Path | None = None) -> Ran:
    """Run a command to its end or the limit in seconds; the whole process is timed."""
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd=cwd,
    )
    timer = threading.Timer(limit, os.killpg, (child.pid, signal.SIGKILL))
    timer.start()
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    timer.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    tail = output.decode(errors="replace")[-400:]
    return Ran(child.returncode, seconds, usage.ru_maxrss / 1024, tail)


FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "i8mm")
"""Instruction sets that decide which kernels run."""


def host() -> dict[str, Any]:
    """Return the facts about this machine that figures depend on."""
    lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines()]
    facts = {pair[0].strip(): pair[1].strip() for pair in lines if len(pair) == 2}
    flags = (facts.get("flags") or facts.get("Features", "")).split()
    return {
        "cpu": facts.get("model name") or platform.processor(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def read_results(name: str) -> dict[str, Any]:
    """Return what ``results/<name>.json`` holds, nothing where it is missing."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


_FOLDERS = re.compile(r"(?:/[\w.+@-]+)+/(?=[\w.+@-]+\.(?:onnx|py)\b)")
"""The folders before a file's name in a message, which say nothing on another machine."""


def write_results(name: str, results: dict[str, Any], *, part: bool = False) -> Path:
    """Write ``results/<name>.json`` with the host; ``part`` keeps models measured before."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    if part:
        results = {
            **results,
            "models": {**read_results(name).get("models", {}), **results["models"]},
        }
    text = json.dumps({"host": host(), **results}, indent=1)
    path.write_text(_FOLDERS.sub("", text) + "\n")
    return path
