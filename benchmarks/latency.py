"""Compare the latency of onnxopt's files with the originals' and with peers', by `onnxopt bench`.

One measurement a model: onnxopt's file against the original and every peer's file, interleaved in
random blocks, each in a process of its own, ONNX Runtime at its full level, paired ratios with 95 %
intervals, and onnxopt's file against itself as the noise floor. What is faster than onnxopt's file
beyond the noise is measured again beside it, for twice as long, since the best of several is often
the luckiest, and what is still faster is inspected: a peer's wrong file does not count. The feeds
are the recorded ones with a batch of 1 where there are such.
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from common import (
    Case,
    add_case_options,
    add_resume_options,
    cases,
    in_time,
    resumed,
    run_measured,
    write_results,
)
from peers import ONNXOPT, ORT_TRANSFORMERS, PEERS, run_peer
from quality import correct, inspect_files

ORIGINAL = "original"


def first_shape(feeds: Path) -> tuple[int, ...]:
    """Return the shape of the first array of a .npz, from its header."""
    with zipfile.ZipFile(feeds) as archive, archive.open(archive.namelist()[0]) as stream:
        header = stream.read(200).decode("latin-1")
    shape: tuple[int, ...] = ast.literal_eval(header[header.index("{") : header.index("}") + 1])[
        "shape"
    ]
    return shape


def choose_feeds(case: Case) -> Path:
    """Return the recorded feeds with a batch of 1, the first where there are none."""
    both = [case.folder / f"feeds_{index}.npz" for index in (0, 1)]
    return next((path for path in both if first_shape(path)[:1] == (1,)), both[0])


def bench(models: list[Path], feeds: Path, threads: int, budget: float) -> dict[str, Any]:
    """Run ``onnxopt bench`` and return its report, which goes on without files that do not run."""
    program = shutil.which(ONNXOPT) or ONNXOPT
    to = feeds.parent / "peers" / "bench.json"
    command = [program, "bench", *map(str, models), "--samples", str(feeds), "--json"]
    command += ["--threads", str(threads), "--budget", str(budget)]
    shell = 'out="$1"; shift; exec "$@" > "$out"'
    ran = run_measured(["sh", "-c", shell, "sh", str(to), *command], 60 + 4 * budget)
    said = to.read_text()
    if not said:
        raise RuntimeError(ran.tail)
    return dict(json.loads(said))


def ratios(report: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the ratio of onnxopt's file, the first, to every other, and the noise floor."""
    first, *others = report["rows"]
    noise = first["noise"] or {"low": 1.0, "high": 1.0}
    said: dict[str, Any] = {}
    for name, row in zip(names, others, strict=True):
        ratio = row["ratio"]
        if ratio is None:
            said[name] = {"problem": row["error"]}
            continue
        low, high = 1 / ratio["high"], 1 / ratio["low"]
        said[name] = {
            "ms": row["median"]["value"] * 1e3,
            "ratio": 1 / ratio["value"],
            "interval": [low, high],
            "noise": [noise["low"], noise["high"]],
            "slower": low > max(1.0, noise["high"]),
            "faster": high < min(1.0, noise["low"]),
        }
    return said


def file_of(case: Case, name: str) -> Path:
    """Return where the file of an optimizer, or the original, lies."""
    return case.model if name == ORIGINAL else case.folder / "peers" / f"{name}.onnx"


def measure(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Optimize a model where a file is missing, then compare; what is faster twice counts."""
    said: dict[str, Any] = {}
    ran = run_peer(ONNXOPT, case.model, file_of(case, ONNXOPT))
    if not ran["ok"]:
        return {ORIGINAL: {"problem": ran["problem"]}}
    names = [ORIGINAL]
    for name in options.by:
        if not file_of(case, name).exists():
            ran = run_peer(name, case.model, file_of(case, name))
            if not ran["ok"]:
                said[name] = {"problem": ran["problem"]}
                continue
        names.append(name)
    budget = options.budget
    while names:
        files = [file_of(case, name) for name in (ONNXOPT, *names)]
        report = bench(files, choose_feeds(case), options.threads, budget)
        said |= ratios(report, names)
        again = budget == options.budget
        names = [name for name in names if again and said[name].get("slower")]
        budget *= 2
    beaten = [name for name in options.by if said.get(name, {}).get("slower")]
    for name, facts in (inspect_files(case, beaten, 300) if beaten else {}).items():
        if name in beaten and "runs" in facts:
            said[name]["correct"] = correct(facts)
    return said


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_case_options(parser)
    add_resume_options(parser)
    parser.add_argument("--by", nargs="+", choices=[*PEERS, ORT_TRANSFORMERS], default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=14, help="seconds a model")
    options = parser.parse_args()
    done = resumed("latency", options)
    left = [
        case
        for case in cases(options)
        if not done.get(case.name, {}).keys() >= {ORIGINAL, *options.by}
    ]
    for case in in_time(left, options.seconds):
        try:
            done[case.name] = measure(case, options)
        except RuntimeError as error:
            done[case.name] = {ORIGINAL: {"problem": str(error)}}
        for name, facts in done[case.name].items():
            print(case.name, name, json.dumps(facts), flush=True)
        write_results("latency", {"threads": options.threads, "models": done})
    print(f"{len(done)} models measured")


if __name__ == "__main__":
    main()
