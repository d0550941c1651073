"""Compare the latency of optimized models with the originals', at ONNX Runtime's full level.

Each model runs in several processes of its own. A process opens the original twice (A and A') and
the optimized file (B), one thread each, and times blocks of runs of the three in random order. The
ratio B/A of a round is paired; its median comes with a 95 % interval by bootstrap over processes
and rounds, beside the same figure of A'/A: what two identical models read on this machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Case, add_case_options, cases, run_measured, selected, write_results
from peers import ONNXOPT, PEERS, run_peer

HERE = Path(__file__).resolve()
BLOCK = 0.02
"""Seconds a block lasts at least."""

WARM = 0.3
"""Seconds each variant runs before anything counts."""


def runner(model: Path, feeds: dict[str, Any], threads: int) -> Callable[[], object]:
    """Return a function that runs the model once."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    kept = {value.name for value in session.get_inputs()}
    fed = {name: array for name, array in feeds.items() if name in kept}
    return lambda: session.run(None, fed)


def time_rounds(options: argparse.Namespace) -> dict[str, Any]:
    """Measure in this process; return seconds a run of A, A' and B for every round."""
    import random
    import time

    import numpy as np

    feeds = dict(np.load(options.process[2]))
    models = {"A": options.process[0], "A'": options.process[0], "B": options.process[1]}
    runs = {name: runner(Path(path), feeds, options.threads) for name, path in models.items()}

    def block(name: str, count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            runs[name]()
        return (time.perf_counter() - started) / count

    for name in runs:
        until = time.perf_counter() + WARM
        while time.perf_counter() < until:
            block(name, 1)
    counts = max(1, round(BLOCK / min(block("A", 3), block("A", 3))))
    rounds: dict[str, list[float]] = {name: [] for name in runs}
    until = time.perf_counter() + options.seconds
    while time.perf_counter() < until or len(rounds["A"]) < 5:
        for name in random.sample(list(runs), len(runs)):
            rounds[name].append(block(name, counts))
    return rounds


def interval(processes: list[list[float]], draws: int = 1000) -> tuple[float, float, float]:
    """Return the median of paired ratios and its 95 % interval, resampling processes and rounds."""
    import numpy as np

    random = np.random.default_rng(0)
    arrays = [np.asarray(ratios) for ratios in processes]
    medians = []
    for _ in range(draws):
        chosen = random.integers(len(arrays), size=len(arrays))
        resampled = [random.choice(arrays[i], len(arrays[i])) for i in chosen]
        medians.append(np.median(np.concatenate(resampled)))
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(np.concatenate(arrays))), float(low), float(high)


def compare(original: Path, optimized: Path, feeds: Path, options: argparse.Namespace) -> Any:
    """Measure in processes of their own; return milliseconds, the ratio and the noise."""
    pairs: dict[str, list[list[float]]] = {"B": [], "A'": []}
    seconds: list[float] = []
    for _ in range(options.processes):
        command = [sys.executable, str(HERE), "--models", ".", "--threads", str(options.threads)]
        command += ["--seconds", str(options.seconds)]
        command += ["--process", str(original), str(optimized), str(feeds)]
        command += ["--to", str(feeds.parent / "peers" / "rounds.json")]
        ran = run_measured(command, 300)
        if ran.status:
            return {"problem": ran.tail}
        rounds = json.loads((feeds.parent / "peers" / "rounds.json").read_text())
        seconds += rounds["A"]
        for name, ratios in pairs.items():
            ratios.append([b / a for a, b in zip(rounds["A"], rounds[name], strict=True)])
    ratio, noise = interval(pairs["B"]), interval(pairs["A'"])
    return {
        "original_ms": sorted(seconds)[len(seconds) // 2] * 1e3,
        "ratio": ratio[0],
        "interval": ratio[1:],
        "noise": noise[1:],
        "slower": ratio[1] > max(1.0, noise[2]),
        "faster": ratio[2] < min(1.0, noise[1]),
    }


def measure(case: Case, name: str, options: argparse.Namespace) -> Any:
    """Optimize a model where its file is missing, then compare at the first recorded size."""
    optimized = case.folder / "peers" / f"{name}.onnx"
    if not optimized.exists():
        ran = run_peer(name, case.model, optimized)
        if not ran["ok"]:
            return {"problem": ran["problem"]}
    return compare(case.model, optimized, case.folder / "feeds_0.npz", options)


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_case_options(parser)
    parser.add_argument("--by", nargs="+", choices=[*PEERS, ONNXOPT], default=[ONNXOPT])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of rounds in each process")
    parser.add_argument("--process", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        options.to.write_text(json.dumps(time_rounds(options)))
        return
    results: dict[str, Any] = {}
    for case in cases(options):
        results[case.name] = {}
        for name in options.by:
            said = results[case.name][name] = measure(case, name, options)
            print(case.name, name, json.dumps(said), flush=True)
    said = {"threads": options.threads, "models": results}
    print(write_results("latency", said, part=selected(options)))


if __name__ == "__main__":
    main()
