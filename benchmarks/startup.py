"""Time `onnxopt --help` and `import onnxopt`, each a whole process, against a bare interpreter."""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
from pathlib import Path

from common import run_measured, write_results


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    program = shutil.which("onnxopt")
    if program is None:
        raise SystemExit("onnxopt is not on PATH; activate the project's environment")
    python = str(Path(program).with_name(Path(sys.executable).name))
    commands = {
        "interpreter": [python, "-c", "pass"],
        "onnxopt --help": [program, "--help"],
        "import onnxopt": [python, "-c", "import onnxopt"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds + 1):
        for name in random.sample(list(commands), len(commands)):
            ran = run_measured(commands[name], 60)
            if ran.status:
                raise SystemExit(f"{name} ended with status {ran.status}: {ran.tail}")
            seconds[name].append(ran.seconds)
    results = {}
    for name, taken in seconds.items():
        warm = taken[1:]
        results[name] = {"min": min(warm), "median": statistics.median(warm), "rounds": len(warm)}
        print(f"{name:16s} min {min(warm):.3f} s, median {statistics.median(warm):.3f} s")
    print(write_results("startup", {"seconds": results}))


if __name__ == "__main__":
    main()
