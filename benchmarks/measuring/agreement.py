"""Compare the steady median with that of a loop written by hand.

The loop opens a session with one thread in a process of its own, runs for half a second, then takes
the median of one second. Bench starts five processes, and so does the loop, in turns of which
either is first: a turn gives one ratio of geometric means over processes. ONNX Runtime's own perf
tool is not in its Python packages.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from measuring.runs import MODELS, Entry, bench, least_known, model, options, resume

LOOP = """
import os, statistics, sys, time
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feeds = dict(np.load(sys.argv[2]))
def runs(seconds):
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - start)
    return times
runs(0.5)
print(statistics.median(runs(1)))
"""


def loop(file: Path, feeds: Path) -> float:
    """Return the median of one process's loop."""
    command = [sys.executable, "-c", LOOP, str(file), str(feeds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def loops(file: Path, feeds: Path) -> float:
    """Return the geometric mean of five processes' medians."""
    return math.exp(statistics.fmean(math.log(loop(file, feeds)) for _ in range(5)))


def benched(file: Path, feeds: Path) -> float:
    """Return the median that bench reports of its five processes."""
    (row,) = bench(file, "--threads", 1, "--samples", feeds, "--budget", "1s")["rows"]
    return float(row["median"]["value"])


def made_up(file: Path) -> dict[str, np.ndarray]:
    """Return feeds that a model accepts, the same for both."""
    from onnxopt import catalogue
    from onnxopt.feeds import random_samples
    from onnxopt.io import load

    with catalogue.backend("cpu").open(file) as session:
        found = random_samples(load(file), count=1, evaluate=lambda _, feeds: session.run(feeds))
        return dict(next(iter(found)))


def following(done: list[Entry]) -> list[int]:
    """Return the next turn: of the model whose mean is known least."""
    logs = {
        name: [math.log(run["bench"] / run["loop"]) for run in done if run["model"] == name]
        for name in MODELS
    }
    return least_known(logs, 5)


def compare(number: int) -> Entry:
    """Take one turn with one model."""
    name, ways = MODELS[number % len(MODELS)], {"bench": benched, "loop": loops}
    order = list(ways) if number // len(MODELS) % 2 else list(ways)[::-1]
    file = model(name)
    with tempfile.TemporaryDirectory() as folder:
        feeds = Path(folder) / "feeds.npz"
        np.savez(feeds, **made_up(file))
        found = {way: ways[way](file, feeds) for way in order}
    return {"model": name, "first": order[0], **{way: found[way] for way in ways}}


if __name__ == "__main__":
    resume("measuring_agreement", options(__doc__, 10 * len(MODELS)), compare, following)
