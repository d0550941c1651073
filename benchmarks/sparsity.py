"""Set weights of the corpus' models to zero, in several ways: metric, compressed size, speed.

Samples are unlabelled and, but for the detectors', not those that are scored. What was scored is
kept in results/sparsity.json and not done again. ``--speed`` measures the latency of the file with
70 % zeros against the model's: there is nothing to gain, and it is shown.
"""

from __future__ import annotations

import argparse
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from common import read_results, write_results
from onnx import numpy_helper
from quantization import corpus, feeds_of

WAYS: Mapping[str, str] = {
    **{
        f"{name} {ratio:.0%}": f"prune/{what}{{ratio={ratio}{more}}}"
        for ratio in (0.5, 0.7)
        for name, what, more in (
            ("magnitude, layer", "magnitude", ""),
            ("magnitude, model", "magnitude", ", scope=model"),
            ("wanda", "wanda", ""),
            ("sparsegpt", "sparsegpt", ""),
        )
    },
    **{
        f"{name} 2:4": f"prune/{name}{{keep=2, of=4}}"
        for name in ("magnitude", "wanda", "sparsegpt")
    },
    **{f"{count} blocks out": f"prune/blocks{{count={count}}}" for count in (1, 2, 4)},
}
"""Pipelines that follow ``infer-shapes``."""

TIMED = ("sparsegpt 70%", "2 blocks out")
"""What ``--speed`` measures."""

MODELS = (
    "cifar10_resnet20",
    "cifar10_resnet56",
    "imagenet_squeezenet",
    "sst2_tiny_encoder",
    "tinyshakespeare_gpt",
)


def score(name: str, file: Path) -> float:
    """Return the metric of a file on the labelled data of its model."""
    return float(corpus().evaluate(name, str(file)))


def weights(file: Path) -> Iterator[Any]:
    """Yield the tensors of a file with at least two dimensions."""
    for held in onnx.load(file).graph.initializer:
        if len(held.dims) > 1:
            yield numpy_helper.to_array(held)


def size(file: Path) -> dict[str, Any]:
    """Return the bytes of a file, as it is and deflated, and the share of zeros in its weights."""
    elements = zeros = 0
    for array in weights(file):
        elements += array.size
        zeros += int((array == 0).sum())
    packed = len(zlib.compress(file.read_bytes(), 6))
    return {"bytes": file.stat().st_size, "deflated": packed, "zeros": round(zeros / elements, 4)}


def make(name: str, model: Path, to: Path, pipeline: str) -> None:
    """Write the pruned model."""
    import onnxopt
    from onnxopt.samples import Samples

    pruned = onnxopt.optimize(
        model,
        pipeline=f"infer-shapes, {pipeline}, dce",
        samples=Samples.of(lambda: feeds_of(name)),
        verify="off",
    )
    onnxopt.save(pruned, to)


def speed(model: Path, file: Path) -> dict[str, float]:
    """Return how many times as fast a file is on one thread, with its interval."""
    import onnxopt

    ratio = onnxopt.bench(model, file, threads=1, budget=40.0).rows[1].ratio
    assert ratio is not None
    return {"speed": 1 / ratio.value, "low": 1 / ratio.high, "high": 1 / ratio.low}


def examine(name: str, folder: Path, known: dict[str, Any], *, fast: bool) -> None:
    """Score what is not known of a model yet; write after every file."""
    scoring = corpus()
    model = Path(scoring.path(scoring.manifest()[name]["model"]))
    folder.mkdir(parents=True, exist_ok=True)
    rows = dict(known)
    if "given" not in rows:
        rows["given"] = {"metric": score(name, model), **size(model)}
    for way, pipeline in WAYS.items():
        wanted = fast and way in TIMED and "one_thread" not in rows.get(way, {})
        if way in rows and not wanted:
            continue
        file = folder / "pruned.onnx"
        make(name, model, file, pipeline)
        rows[way] = {"pipeline": pipeline, "metric": score(name, file), **size(file)}
        if wanted:
            rows[way]["one_thread"] = speed(model, file)
        print(f"{name:22s} {way:22s} {rows[way]}", flush=True)
        write_results("sparsity", {"models": {name: rows}}, part=True)


def main() -> None:
    """Read the command line, prune, score and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--speed", action="store_true", help="measure latency too")
    options = parser.parse_args()
    os.environ.setdefault("CORPUS_THREADS", "2")
    known = read_results("sparsity").get("models", {})
    for name in options.only:
        examine(name, options.work / name, known.get(name, {}), fast=options.speed)


if __name__ == "__main__":
    main()
