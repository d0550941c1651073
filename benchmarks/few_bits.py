"""Quantize a model of 3 GB weight by weight: seconds, peak memory and what the file shrinks to.

The model is a perceptron of ``large_models.py`` with its weights in a file of their own. For each
scheme, ``onnxopt quantize`` in a process of its own, without running the model; the yardstick is a
copy of the file, read and written. Files are read from and written to the page cache and then the
disk that FOLDER is on. Writes results/few_bits.json.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from common import HERE, run_measured, write_results

SCHEMES = ("int8-weights", "int4-weights", "int2-weights", "binary-weights", "int4-nbits")


def size_of(folder: Path, stem: str) -> int:
    """Return the bytes of a model and of the files beside it."""
    return sum(path.stat().st_size for path in folder.glob(f"{stem}*"))


def copied(folder: Path) -> float:
    """Return the seconds of reading and writing the model's bytes."""
    start = time.perf_counter()
    for path in folder.glob("model.onnx*"):
        to = folder / f"copy_{path.name}"
        shutil.copyfile(path, to)
        with to.open("rb+") as file:
            os.fsync(file.fileno())
        to.unlink()
    return time.perf_counter() - start


def quantized(folder: Path, scheme: str) -> dict[str, Any]:
    """Quantize in a process of its own and say what it took."""
    to = folder / "small.onnx"
    start = time.perf_counter()
    program = str(Path(sys.executable).with_name("onnxopt"))
    options = ["--scheme", scheme, "--no-compare"]
    ran = run_measured(
        [program, "quantize", str(folder / "model.onnx"), "-o", str(to), *options], 900
    )
    if ran.status:
        return {"error": ran.tail.strip()}
    with to.open("rb+") as file:
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    found = {"seconds": seconds, "peak_mb": ran.peak_mb, "bytes": size_of(folder, "small.onnx")}
    for path in folder.glob("small.onnx*"):
        path.unlink()
    return found


def main() -> None:
    """Read the command line, make the model, quantize it and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for the model, 7 GB")
    parser.add_argument("--size", type=int, default=3000, help="megabytes of weights")
    parser.add_argument("--only", nargs="*", choices=SCHEMES, default=list(SCHEMES))
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.onnx"
    if not model.exists():
        script = str(HERE / "large_models.py")
        command = [sys.executable, script, "external", "--size", str(options.size), str(model)]
        run_measured(command, 900)
    given = size_of(folder, "model.onnx")
    rows: dict[str, Any] = {"given": {"bytes": given, "copy_s": [copied(folder)]}}
    for scheme in options.only:
        row = rows[scheme] = quantized(folder, scheme)
        rows["given"]["copy_s"].append(copied(folder))
        if "error" in row:
            print(f"{scheme:16s} {row['error']}", flush=True)
            continue
        row["share"] = row["bytes"] / given
        print(
            f"{scheme:16s} {row['seconds']:6.1f} s, {row['peak_mb']:6.0f} MB at most, "
            f"1/{1 / row['share']:.1f} of the file",
            flush=True,
        )
    print("copies: " + ", ".join(f"{seconds:.1f} s" for seconds in rows["given"]["copy_s"]))
    write_results("few_bits", {"models": {f"perceptron_{options.size}": rows}}, part=True)


if __name__ == "__main__":
    main()
