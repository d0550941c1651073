"""Find the newest operator set and version of the format that each release of ONNX Runtime opens.

Each release gets an environment of its own in WORK, with the Python that runs this. In each, models
of one operator are opened, of every operator set from 18 on and of every version of the format from
9 on. ``onnxopt/runtimes.py`` holds the first release of each. Writes results/releases.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from common import write_results

RELEASES = (
    *("1.16.3", "1.17.3", "1.18.1", "1.19.2", "1.20.1", "1.21.1", "1.22.1", "1.23.2"),
    *("1.24.4", "1.25.1", "1.26.0", "1.27.0", "1.28.0", "1.29.0", "1.30.0", "1.31.0", "1.32.0"),
)
"""The last of each line of releases."""

OPERATOR_SETS = range(18, 28)
FORMATS = range(9, 15)

OPENS = """
import json, sys
import onnxruntime
onnxruntime.set_default_logger_severity(4)
opened = []
for path in json.loads(sys.argv[1]):
    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception:
        continue
    opened.append(path)
print(json.dumps(opened))
"""


def environment(release: str, work: Path) -> Path | None:
    """Return the Python of an environment with a release; None where there is no such release."""
    folder = work / release
    python = folder / "bin" / "python"
    said = folder / "installed"
    if not said.exists():
        venv.create(folder, with_pip=True)
        numpy = "numpy<2" if tuple(map(int, release.split(".")[:2])) < (1, 19) else "numpy"
        command = [str(python), "-m", "pip", "install", "-q", f"onnxruntime=={release}", numpy]
        done = subprocess.run(command, check=False)
        said.write_text(str(done.returncode), encoding="utf-8")
    return python if said.read_text(encoding="utf-8") == "0" else None


def models(work: Path) -> dict[str, tuple[str, int]]:
    """Write a model for each operator set and each version of the format; return what is which."""
    import onnx
    from onnx import TensorProto, helper

    found = {}
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    home = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", sides[:1], sides[1:])
    wanted = [("opset", number, 8) for number in OPERATOR_SETS]
    wanted += [("format", number, number) for number in FORMATS]
    for what, number, version in wanted:
        opset = number if what == "opset" else 18
        made = helper.make_model(
            home, opset_imports=[helper.make_opsetid("", opset)], ir_version=version
        )
        path = work / f"{what}{number}.onnx"
        onnx.save(made, path)
        found[str(path)] = what, number
    return found


def main() -> None:
    """Read the command line, make environments, open models and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the environments")
    parser.add_argument("--only", nargs="*", default=list(RELEASES))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    files = models(options.work)
    rows: dict[str, Any] = {}
    for release in options.only:
        python = environment(release, options.work)
        if python is None:
            print(f"{release}: not to be had", file=sys.stderr)
            continue
        command = [str(python), "-c", OPENS, json.dumps(list(files))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        opened = [files[path] for path in json.loads(done.stdout.splitlines()[-1])]
        rows[release] = {
            kind: max(number for what, number in opened if what == kind)
            for kind in ("opset", "format")
        }
        print(release, rows[release], flush=True)
    write_results("releases", {"releases": rows})


if __name__ == "__main__":
    main()
