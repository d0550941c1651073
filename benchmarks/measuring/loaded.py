"""Measure true ratios while neighbours take more and more of the machine.

Two pairs of models: 16 equal layers against 32, and a residual network in float against int8. Each
pair on one thread and on two, beside no neighbour, and beside one or two that take a share of a
core each. The first pair's true ratio is 2, the other's what is measured beside no neighbour. The
verdict is asked for with ``--force``, since on a machine that busy bench would rather say nothing.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import onnx

import onnxopt
from measuring.planted import convolutions
from measuring.runs import Entry, bench, model, neighbours, options, resume_with_files, shares
from onnxopt import io
from onnxopt._startup import import_onnx_ir

LOADS = ((0, 1.0), (1, 0.3), (1, 0.6), (1, 1.0), (2, 0.6), (2, 1.0))
"""Neighbours, and the share of the time that each is busy."""

PAIRS = ("layers", "int8")

SETTINGS = list(itertools.product(LOADS, (1, 2), PAIRS))


def pair(which: str, folder: Path) -> list[Path]:
    """Return the files of a pair, made where they are not there."""
    files = [folder / f"{which}{at}.onnx" for at in range(2)]
    if not files[1].exists() and which == "layers":
        for file, count in zip(files, (16, 32), strict=True):
            onnx.save(convolutions(count), file)
    elif not files[1].exists():
        given = onnx.load(model("cifar10_resnet20"))
        io.save(onnxopt.optimize(given), files[0])
        io.save(onnxopt.quantize(given, scheme="int8", measure=False), files[1])
    return files


def compare(folder: Path, number: int) -> Entry:
    """Measure one pair in one setting."""
    (count, share), threads, which = SETTINGS[number % len(SETTINGS)]
    files = pair(which, folder)
    with neighbours(count, share):
        effort = ("--threads", threads, "--budget", "15s", "--seed", number, "--force")
        report = bench(*files, *effort)
    quiet, second = report["quiet"], report["rows"][1]
    return {
        "pair": which,
        "threads": threads,
        "neighbours": count,
        "share": share,
        "others": round(quiet["others"] + quiet["steal"], 3),
        "ratio": shares(second["ratio"]),
        "outcome": second["outcome"],
        "wall": round(report["wall"], 1),
    }


if __name__ == "__main__":
    import_onnx_ir()
    resume_with_files("measuring_loaded", options(__doc__, 2 * len(SETTINGS)), compare)
