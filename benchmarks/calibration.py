"""Measure seconds and peak memory of every calibrator against plain inference over the samples.

A ResNet-50 with random weights, images of noise, batch 1, every variant in processes of its own in
turn. minmax and moving-average find their extremes in the graph; what they would take if every
value left the runtime is percentile's time with one element counted, ``looked-at``. ONNX Runtime's
calibrators keep what they need for each image, so they get few images and their cost is given for
each. Writes results/calibration.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import HERE, run_measured, write_results

METHODS = {name: name for name in ("minmax", "moving-average", "percentile", "entropy", "mse")}
METHODS["looked-at"] = "percentile, elements=1"
PEERS = ("MinMax", "Percentile", "Entropy")
FEW = (8, 24)


def images(count: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield images of noise; there are eight different ones, so that making them costs nothing."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 1, (8, 1, 3, 224, 224)).astype(np.float32)
    return ({"x": noise[at % 8]} for at in range(count))


def plain(model: Path, count: int) -> None:
    """Run the model and keep nothing."""
    from onnxopt import catalogue, io, lossless

    with catalogue.backend(lossless.STREAM).open(io.load(model)) as session:
        for feeds in images(count):
            session.run(feeds)


def calibrated(model: Path, count: int, method: str) -> None:
    """Calibrate the model with onnxopt."""
    from onnxopt import catalogue, io, lossless, shapes
    from onnxopt.base import Context
    from onnxopt.pipeline import Pipeline
    from onnxopt.samples import Samples

    loaded = io.load(model)
    shapes.infer(loaded)
    context = Context(
        load=catalogue.backend(lossless.STREAM).open, samples=Samples.of(lambda: images(count))
    )
    changes = Pipeline.parse(f"quantize/calibrate{{method={method}}}").run(loaded, context)
    assert changes > 70


def by_peer(model: Path, count: int, method: str) -> None:
    """Calibrate the model with ONNX Runtime's calibrator."""
    from onnxruntime.quantization import calibrate

    class Reader(calibrate.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._images = images(count)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._images, None)

    made = calibrate.create_calibrator(
        str(model),
        augmented_model_path=str(model.with_name("augmented.onnx")),
        calibrate_method=calibrate.CalibrationMethod[method],
    )
    made.collect_data(Reader())
    made.compute_data()


def child(variant: str, model: Path, count: int) -> None:
    """Carry one variant out, and print the seconds without imports."""
    for module in ("onnxruntime", "onnxruntime.quantization", "onnxopt"):
        importlib.import_module(module)
    started = time.perf_counter()
    if variant == "plain":
        plain(model, count)
    elif variant in METHODS:
        calibrated(model, count, METHODS[variant])
    else:
        by_peer(model, count, variant)
    print(json.dumps(time.perf_counter() - started))


def measure(variant: str, model: Path, count: int) -> tuple[float, float]:
    """Return the seconds and the peak megabytes of a variant in a process of its own."""
    command = [sys.executable, str(HERE / "calibration.py"), "--child", variant]
    ran = run_measured([*command, "--model", str(model), "--samples", str(count)], 280)
    if ran.status:
        raise SystemExit(f"{variant}: {ran.tail}")
    return float(ran.tail.split()[-1]), ran.peak_mb


def ours(model: Path, count: int, rounds: int) -> dict[str, Any]:
    """Return seconds, megabytes, and how both compare with plain inference of the same round."""
    taken = [
        {variant: measure(variant, model, count) for variant in ("plain", *METHODS)}
        for _ in range(rounds)
    ]
    said: dict[str, Any] = {}
    for variant in ("plain", *METHODS):
        ratios = [each[variant][0] / each["plain"][0] for each in taken]
        said[variant] = {
            "seconds": statistics.median(each[variant][0] for each in taken),
            "times_plain": statistics.median(ratios),
            "times_plain_worst": max(ratios),
            "peak_mb": max(each[variant][1] for each in taken),
            "mb_above_plain": max(each[variant][1] - each["plain"][1] for each in taken),
        }
        print(variant, said[variant], flush=True)
    return said


def peers(model: Path) -> dict[str, Any]:
    """Return what each image costs ONNX Runtime's calibrators."""
    said = {}
    for variant in PEERS:
        (less, low), (more, high) = (measure(variant, model, count) for count in FEW)
        images_more = FEW[1] - FEW[0]
        said[variant] = {
            "seconds": {str(FEW[0]): less, str(FEW[1]): more},
            "peak_mb": {str(FEW[0]): low, str(FEW[1]): high},
            "seconds_an_image": (more - less) / images_more,
            "mb_an_image": (high - low) / images_more,
        }
        print(variant, said[variant], flush=True)
    return said


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="written where it is missing")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.model, options.samples)
        return
    if not options.model.exists():
        ran = run_measured([sys.executable, str(HERE / "resnet50.py"), str(options.model)], 60)
        if ran.status:
            raise SystemExit(ran.tail)
    found = ours(options.model, options.samples, options.rounds)
    results = {"samples": options.samples, "onnxopt": found, "onnxruntime": peers(options.model)}
    print(write_results("calibration", results))


if __name__ == "__main__":
    main()
