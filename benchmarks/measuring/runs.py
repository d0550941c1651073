"""What the figures about measuring share: runs that can be resumed, bench, background load."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import corpus_folder, read_results, write_results

from onnxopt.backends.cpu import Cpu
from onnxopt.measure.feeding import feeds_for, stored
from onnxopt.measure.intervals import middle, over_processes
from onnxopt.measure.records import Group, Record, Variant
from onnxopt.measure.run import Effort, Measurement
from onnxopt.target import Feeds

MODELS = (
    "cifar10_resnet20",
    "sst2_tiny_encoder",
    "silero_vad_op18",
    "imagenet_squeezenet",
    "nanodet_m_416",
)
"""Five trained models of 0.06 to 13 ms: two classifiers, a detector, text, speech."""

Entry = dict[str, Any]

_BURST_S = 0.2


def options(about: str | None, least: int) -> argparse.Namespace:
    """Read the command line of one figure."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--count", type=int, default=least, help="runs there should be in the end")
    parser.add_argument(
        "--for", dest="seconds", type=float, default=240, help="start no run after so many seconds"
    )
    parser.add_argument("--again", action="store_true", help="forget the runs there are")
    return parser.parse_args()


def _next(done: list[Entry]) -> list[int]:
    return [len(done)]


def resume(
    name: str,
    chosen: argparse.Namespace,
    run: Callable[[int], Entry],
    following: Callable[[list[Entry]], list[int]] = _next,
) -> list[Entry]:
    """Do the runs that are missing, each by its number; the file is written after each.

    ``following`` says which runs follow those that are done; several go on at the same time.
    """
    done: list[Entry] = [] if chosen.again else read_results(name).get("runs", [])
    end = time.monotonic() + chosen.seconds
    while len(done) < chosen.count and time.monotonic() < end:
        numbers = following(done)
        with concurrent.futures.ThreadPoolExecutor(len(numbers)) as pool:
            done += pool.map(run, numbers)
        print(len(done), json.dumps(done[-1]), flush=True)
        write_results(name, {"runs": done})
    return done


def resume_with_files(
    name: str, chosen: argparse.Namespace, run: Callable[[Path, int], Entry]
) -> None:
    """Do the runs that are missing, each with a folder for the files that all of them share."""
    with tempfile.TemporaryDirectory() as folder:
        resume(name, chosen, lambda number: run(Path(folder), number))


def least_known(logs: dict[str, list[float]], least: int) -> list[int]:
    """Return the next run's number: of the model whose mean has the widest interval.

    At first every model has some runs, ``least``. A run's number divided by how many models there
    are leaves the model's own, and tells how many runs it had before.
    """
    names = list(logs)
    chosen = min(names, key=lambda name: len(logs[name]))
    if len(logs[chosen]) >= least:
        halves = {n: float(over_processes(np.array(logs[n]), looks=False)[1]) for n in names}
        chosen = max(names, key=lambda name: halves[name])
    return [names.index(chosen) + len(names) * len(logs[chosen])]


def model(name: str) -> Path:
    """Return the file of a model of the corpus."""
    return corpus_folder() / name / "model.onnx"


def bench(*arguments: object, cpu: int | None = None) -> Entry:
    """Run ``onnxopt bench`` and return its report, with the seconds of the whole process.

    ``cpu`` is the only one that it and its processes may use.
    """
    beside = Path(sys.executable).with_name("onnxopt")
    program = str(beside) if beside.exists() else shutil.which("onnxopt") or "onnxopt"
    pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
    start = time.perf_counter()
    done = subprocess.run(
        [*pinned, program, "bench", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise SystemExit(done.stderr)
    return {**json.loads(done.stdout), "wall": time.perf_counter() - start}


@functools.cache
def feeds_of(name: str) -> Feeds:
    """Return made-up feeds of a model, the same at every call."""
    variant = Variant(label=name, model=model(name), backend=Cpu(threads=1))
    (feeds,) = feeds_for(variant, None, Effort().timeout_s, 0)
    return feeds


def launched(variants: list[Variant], feeds: Feeds, seed: int) -> list[float]:
    """Launch variants once, side by side, as bench does; return logarithms of their medians.

    Where there are several, the first is there twice, and the mean of the two is its figure.
    """
    effort = Effort(launches=1, blocks=6)
    with stored([feeds]) as path:
        group = Group([Record(variant) for variant in variants], path, 1)
        Measurement([group], effort, seed).run(lambda *_: None, lambda: False, lambda: None)
    found = [float(middle(np.array(record.latencies()[0]))) for record in group.records]
    if group.twin is not None:
        found[0] = (found[0] + float(middle(np.array(group.twin.latencies()[0])))) / 2
    return found


def shares(ratio: Entry) -> list[float]:
    """Return value, low and high of an estimate, rounded for the file."""
    return [round(ratio[name], 5) for name in ("value", "low", "high")]


@contextlib.contextmanager
def neighbours(count: int, share: float) -> Iterator[None]:
    """Keep some processes busy meanwhile, each such a share of the time, in bursts of 0.2 s."""
    started = [
        multiprocessing.Process(target=_neighbour, args=(seed, share), daemon=True)
        for seed in range(count)
    ]
    for neighbour in started:
        neighbour.start()
    try:
        yield
    finally:
        for neighbour in started:
            neighbour.kill()
            neighbour.join()


def _neighbour(seed: int, share: float) -> None:
    rng = random.Random(seed + os.getpid())
    rest = _BURST_S * (1 - share) / share
    while True:
        stop = time.perf_counter() + rng.expovariate(1 / _BURST_S)
        while time.perf_counter() < stop:
            sum(range(1000))
        if rest:
            time.sleep(rng.expovariate(1 / rest))
