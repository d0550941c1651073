"""Compare the latency of optimized models with the originals', by `onnxopt bench`.

One measurement a model: the original against every optimizer's file, interleaved in random blocks,
each in a process of its own, ONNX Runtime at its full level, paired ratios with 95 % intervals, and
the original against itself as the noise floor. The feeds are the recorded ones with a batch of 1
where there are such.
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
from peers import ONNXOPT, PEERS, run_peer


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


def bench(models: list[Path], feeds: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run ``onnxopt bench`` and return its report."""
    program = shutil.which(ONNXOPT) or ONNXOPT
    to = feeds.parent / "peers" / "bench.json"
    command = [program, "bench", *map(str, models), "--samples", str(feeds), "--json"]
    command += ["--threads", str(options.threads), "--budget", str(options.budget)]
    shell = 'out="$1"; shift; exec "$@" > "$out"'
    ran = run_measured(["sh", "-c", shell, "sh", str(to), *command], 60 + 4 * options.budget)
    if ran.status:
        return {"problem": ran.tail}
    return dict(json.loads(to.read_text()))


def summarize(report: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the ratio of every optimizer's file to the original, and the noise floor."""
    noise = report["rows"][0]["noise"] or {"low": 1.0, "high": 1.0}
    rows = dict(zip(names, report["rows"][1:], strict=True))
    original = report["rows"][0]["median"]
    said: dict[str, Any] = {}
    for name, row in rows.items():
        ratio = row["ratio"]
        if ratio is None:
            said[name] = {"problem": row["error"]}
            continue
        said[name] = {
            "original_ms": original["value"] * 1e3,
            "ratio": ratio["value"],
            "interval": [ratio["low"], ratio["high"]],
            "noise": [noise["low"], noise["high"]],
            "slower": ratio["low"] > max(1.0, noise["high"]),
            "faster": ratio["high"] < min(1.0, noise["low"]),
            "verdict": row["verdict"],
        }
    return said


def measure(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Optimize a model where a file is missing, then compare."""
    files, said = {}, {}
    for name in options.by:
        path = case.folder / "peers" / f"{name}.onnx"
        if name == ONNXOPT or not path.exists():
            ran = run_peer(name, case.model, path)
            if not ran["ok"]:
                said[name] = {"problem": ran["problem"]}
                continue
        files[name] = path
    if not files:
        return said
    report = bench([case.model, *files.values()], choose_feeds(case), options)
    if "problem" in report:
        return said | dict.fromkeys(files, report)
    return said | summarize(report, list(files))


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_case_options(parser)
    add_resume_options(parser)
    parser.add_argument("--by", nargs="+", choices=[*PEERS, ONNXOPT], default=[ONNXOPT])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=14, help="seconds a model")
    options = parser.parse_args()
    done = resumed("latency", options)
    left = [case for case in cases(options) if not done.get(case.name, {}).keys() >= {*options.by}]
    for case in in_time(left, options.seconds):
        done[case.name] = measure(case, options)
        for name, facts in done[case.name].items():
            print(case.name, name, json.dumps(facts), flush=True)
        write_results("latency", {"threads": options.threads, "models": done})
    print(f"{len(done)} models measured")


if __name__ == "__main__":
    main()
