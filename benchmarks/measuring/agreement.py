"""Compare the steady median with that of a loop written by hand.

The loop opens a session with one thread in a process of its own, runs for a second, then takes the
median of two seconds; five processes before bench and five after it, and the median of their
medians. ONNX Runtime's own perf tool is not in its Python packages.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from measuring.runs import MODELS, Entry, bench, model, options, resume

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
runs(1)
print(statistics.median(runs(2)))
"""


def loop(file: Path, feeds: Path) -> float:
    """Return the median of one process's loop."""
    command = [sys.executable, "-c", LOOP, str(file), str(feeds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def made_up(file: Path) -> dict[str, np.ndarray]:
    """Return feeds that a model accepts, the same for both."""
    from onnxopt import catalogue
    from onnxopt.feeds import random_samples
    from onnxopt.io import load

    with catalogue.backend("cpu").open(file) as session:
        found = random_samples(load(file), count=1, evaluate=lambda _, feeds: session.run(feeds))
        return dict(next(iter(found)))


def compare(number: int) -> Entry:
    """Measure one model both ways."""
    name = MODELS[number % len(MODELS)]
    file = model(name)
    with tempfile.TemporaryDirectory() as folder:
        feeds = Path(folder) / "feeds.npz"
        np.savez(feeds, **made_up(file))
        before = [loop(file, feeds) for _ in range(5)]
        arguments = ("--threads", 1, "--samples", feeds, "--budget", "20s", "--precision", "0.5%")
        report = bench(file, *arguments)
        after = [loop(file, feeds) for _ in range(5)]
    (row,) = report["rows"]
    by_hand = statistics.median([*before, *after])
    return {
        "model": name,
        "bench": row["median"]["value"],
        "interval": [row["median"]["low"], row["median"]["high"]],
        "loop": by_hand,
        "loops": [min(before + after), max(before + after)],
        "ratio": round(row["median"]["value"] / by_hand, 5),
    }


if __name__ == "__main__":
    resume("measuring_agreement", options(__doc__, 5), compare)
