"""Quantize the corpus' models: onnxopt by default against ONNX Runtime's own quantizers.

For each model: ``onnxopt quantize`` without a hint, and ONNX Runtime's ``quantize_static`` at its
defaults and at its best (pre-processed, uint8 activations, int8 weights for each channel) and
``quantize_dynamic``; then the corpus' metric and the latency of every file against the model given.
Calibration has samples of its own, except for the detectors, whose images are scored too. Keeps
what it made in WORK and goes on where it was stopped. Writes results/quantization.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from common import corpus_folder, write_results

SAMPLES = {
    "cifar10_resnet20": 128,
    "cifar10_resnet56": 128,
    "fastestdet": 64,
    "imagenet_mobilenetv2": 200,
    "imagenet_squeezenet": 128,
    "magika_v3_3": 96,
    "mnist_cntk": 64,
    "nanodet_m_416": 64,
    "sst2_tiny_encoder": 128,
    "tinyshakespeare_gpt": 64,
    "yolox_nano": 64,
}
"""Models with samples to calibrate on, and how many are taken."""

Feeds = Mapping[str, np.ndarray]


def corpus() -> Any:
    """Import the corpus' own evaluation."""
    sys.path.insert(0, str(corpus_folder()))
    import evaluate  # type: ignore[import-not-found]

    return evaluate


def feeds_of(name: str) -> Iterator[Feeds]:
    """Yield the samples of a model, one at a time."""
    scoring = corpus()
    entry = scoring.manifest()[name]
    if entry["evaluator"] != "det":
        yield from scoring.calibration_batches(name, SAMPLES[name])
        return
    folder = Path(scoring.path(entry["data"], "coco_val"))
    for image in sorted(folder.iterdir())[: SAMPLES[name]]:
        yield {entry["inputs"][0]["name"]: scoring.det_input(entry, image)[0]}


class Reader:
    """Hands samples to ONNX Runtime's calibration."""

    def __init__(self, folder: Path) -> None:
        self._files = iter(sorted(folder.glob("*.npz")))

    def get_next(self) -> Feeds | None:
        """Return the next sample, None behind the last."""
        file = next(self._files, None)
        return None if file is None else dict(np.load(file))

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> Feeds:
        found = self.get_next()
        if found is None:
            raise StopIteration
        return found


def onnxopt(model: Path, to: Path, samples: Path) -> None:
    """Quantize with onnxopt's command, without a hint; its report is kept beside the result."""
    program = str(Path(sys.executable).with_name("onnxopt"))
    options = ["--samples", str(samples), "--json"]
    command = [program, "quantize", str(model), "-o", str(to), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    to.with_suffix(".json").write_text(done.stdout)


def static_default(model: Path, to: Path, samples: Path) -> None:
    """Quantize statically as ONNX Runtime does unless told otherwise."""
    from onnxruntime.quantization import quantize_static

    quantize_static(str(model), str(to), Reader(samples))


def static_best(model: Path, to: Path, samples: Path) -> None:
    """Quantize statically in the form that is fastest on x86."""
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    before = to.with_suffix(".pre.onnx")
    quant_pre_process(str(model), str(before))
    quantize_static(
        str(before),
        str(to),
        Reader(samples),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def dynamic(model: Path, to: Path, samples: Path) -> None:  # noqa: ARG001 - as the others
    """Quantize dynamically, weights in int8 for each channel."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(model), str(to), per_channel=True, weight_type=QuantType.QInt8)


MAKERS: Mapping[str, Callable[[Path, Path, Path], None]] = {
    "onnxopt": onnxopt,
    "static_default": static_default,
    "static_best": static_best,
    "dynamic": dynamic,
}


def make_in_process(which: str, model: Path, to: Path, samples: Path) -> str | None:
    """Make a file in a process of its own; return why it failed."""
    paths = [str(path.resolve()) for path in (model, to, samples)]
    command = [sys.executable, str(Path(__file__).resolve()), "--make", which, *paths]
    # ONNX Runtime's tools leave files where they run
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=to.parent)
    if to.exists():
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1][-200:] if lines else f"status {done.returncode}"


def files_of(name: str, model: Path, folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Make what is not there yet; return the files and why others are missing."""
    samples = folder / "samples"
    if not samples.exists():
        samples.mkdir(parents=True)
        for at, feeds in enumerate(feeds_of(name)):
            np.savez(samples / f"{at:04d}.npz", **feeds)
    files, failed = {}, {}
    for which in MAKERS:
        to = folder / f"{which}.onnx"
        why = None if to.exists() else make_in_process(which, model, to, samples)
        if why is None:
            files[which] = to
        else:
            failed[which] = why
    return files, failed


def ratios(model: Path, files: Mapping[str, Path], samples: Path, threads: int) -> dict[str, Any]:
    """Measure the latency of files over the model's: value, and the 95 % interval."""
    import onnxopt as library

    report = library.bench(model, *files.values(), samples=samples, threads=threads, budget=40.0)
    found = {}
    for which, row in zip(files, report.rows[1:], strict=True):
        ratio = row.ratio
        found[which] = (
            {"error": row.error}
            if ratio is None
            else {"speed": 1 / ratio.value, "low": 1 / ratio.high, "high": 1 / ratio.low}
        )
    return found


def examine(name: str, folder: Path, threads: list[int]) -> dict[str, Any]:
    """Return the metric, the speed and the size of every file of a model."""
    scoring = corpus()
    model = Path(scoring.path(scoring.manifest()[name]["model"]))
    files, failed = files_of(name, model, folder)
    scored = {"given": model, **files}
    rows: dict[str, Any] = {which: {"error": why} for which, why in failed.items()}
    for which, path in scored.items():
        rows[which] = {"bytes": path.stat().st_size}
        try:
            rows[which]["metric"] = scoring.evaluate(name, str(path))
        except Exception as error:
            rows[which]["error"] = str(error)[-200:]
    usable = {which: path for which, path in files.items() if "metric" in rows[which]}
    for count in threads:
        for which, row in ratios(model, usable, folder / "samples", count).items():
            rows[which][f"threads_{count}"] = row
    rows["onnxopt"]["report"] = json.loads((folder / "onnxopt.json").read_text())
    return rows


def line_of(name: str, rows: Mapping[str, Any], threads: list[int]) -> str:
    """Return one line for the console."""
    cells = [f"{name:22s} {rows['given']['metric']:.4f}"]
    for which in MAKERS:
        row = rows[which]
        speeds = [row.get(f"threads_{count}", {}).get("speed") for count in threads]
        text = "/".join("-" if speed is None else f"{speed:.2f}" for speed in speeds)
        cells.append(f"{which} {row.get('metric', float('nan')):.4f} {text}")
    return " | ".join(cells)


def main() -> None:
    """Read the command line, quantize, score, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder that keeps what is made")
    parser.add_argument("--only", nargs="*", choices=SAMPLES, default=list(SAMPLES))
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--make", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        which, *paths = options.make
        MAKERS[which](*map(Path, paths))
        return
    os.environ.setdefault("CORPUS_THREADS", "2")
    for name in options.only:
        rows = examine(name, options.work / name, options.threads)
        print(line_of(name, rows, options.threads), flush=True)
        write_results("quantization", {"models": {name: rows}}, part=True)


if __name__ == "__main__":
    main()
