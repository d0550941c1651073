"""Compare the steady median with that of a loop written by hand.

The loop opens a session with one thread or two in a process of its own, runs for half a second,
then takes the median of one second. A pair is one such process and one launch of bench, on the same
feeds, whichever comes first: processes of one model differ, and the machine drifts, by more than
what is asked for, so it is the mean of many pairs that counts. ONNX Runtime's own perf tool is not
in its Python packages.
"""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from measuring.runs import MODELS, Entry, feeds_of, launched, least_known, model, options, resume
from onnxopt._startup import import_onnx_ir
from onnxopt.backends.cpu import Cpu
from onnxopt.measure.records import Variant
from onnxopt.measure.run import cpus_of
from onnxopt.target import Feeds

LOOP = """
import os, statistics, sys, time
cpus = [int(cpu) for cpu in sys.argv[3].split(",")]
os.sched_setaffinity(0, cpus)
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = len(cpus)
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


SETTINGS = list(itertools.product(MODELS, (1, 2)))
"""Models and threads."""


def loop(variant: Variant, feeds: Feeds) -> float:
    """Return the logarithm of the median of one process's loop."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "feeds.npz"
        np.savez(kept, **feeds)
        cpus = ",".join(map(str, cpus_of(variant)))
        command = [sys.executable, "-c", LOOP, str(variant.model), str(kept), cpus]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return math.log(float(done.stdout))


def following(done: list[Entry]) -> list[int]:
    """Return the next pair: of the setting whose mean is known least."""
    logs = {
        f"{name}, {threads}": [
            run["bench"] - run["loop"]
            for run in done
            if (run["model"], run["threads"]) == (name, threads)
        ]
        for name, threads in SETTINGS
    }
    return least_known(logs, 8)


def compare(number: int) -> Entry:
    """Take one pair with one model on one number of threads."""
    name, threads = SETTINGS[number % len(SETTINGS)]
    variant = Variant(label=name, model=model(name), backend=Cpu(threads=threads))
    feeds = feeds_of(name)
    ways = {
        "bench": lambda: launched([variant], feeds, number)[0],
        "loop": lambda: loop(variant, feeds),
    }
    order = list(ways) if number // len(SETTINGS) % 2 else list(ways)[::-1]
    found = {way: round(ways[way](), 5) for way in order}
    facts = {"model": name, "threads": threads, "first": order[0]}
    return {**facts, **{way: found[way] for way in ways}}


if __name__ == "__main__":
    import_onnx_ir()
    resume("measuring_agreement", options(__doc__, 10 * len(SETTINGS)), compare, following)
