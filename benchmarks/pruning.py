"""Prune the corpus' models on unlabelled samples, and score what is left.

For each case ``onnxopt prune`` runs in a process of its own, on two draws of samples where there
are enough; labels serve to score on other images only. Beside the metric: how often the decision is
that of the model given, what is left of multiply-adds and latency (one thread), time and peak of
memory. ``magnitude`` is the baseline: smallest L2 norms, the same share everywhere, nothing
refitted. What was pruned is kept in WORK and not pruned again. Writes results/pruning.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import corpus_folder, run_measured, write_results

MAGNITUDE = ("--importance", "l2", "--ratios", "uniform", "--recover", "none")
BLOCKS = ("--multiple", "16", "--ratios", "layers")
HALVES = ("--least", "0.5", "--skip", "/te/Gather", "--ratios", "uniform")
"""Half of the heads and of the feed-forward widths: all that the goal, out of reach, may take."""
LIMIT_S = 1800.0
RANDOM_IMAGES = 256


class Case(NamedTuple):
    """A model and what is to be left of an amount."""

    model: str
    goal: str
    share: float
    samples: int
    draws: int = 2
    options: tuple[str, ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        """Return what the result is called."""
        label = f"-{self.label}" if self.label else ""
        return f"{self.model}-{self.goal}-{self.share:g}{label}"


CIFAR = [
    Case(model, goal, share, 2000)
    for model in ("cifar10_resnet56", "cifar10_resnet20")
    for goal, share in (("macs", 0.7), ("macs", 0.5))
]
CASES = [
    *CIFAR,
    Case("cifar10_resnet20", "macs", 0.5, 2000, 5, label="5-draws"),
    *(case._replace(draws=1, options=MAGNITUDE, label="magnitude") for case in CIFAR),
    Case("cifar10_resnet56", "latency", 1 / 1.4, 2000),
    Case("cifar10_resnet56", "latency", 1 / 1.7, 2000),
    Case("cifar10_resnet20", "latency", 0.7, 2000, 1),
    Case("resnet50", "macs", 0.5, RANDOM_IMAGES, 1),
    Case(
        "resnet50",
        "macs",
        0.5,
        RANDOM_IMAGES,
        1,
        ("--multiple", "16", "--ratios", "layers"),
        "blocks",
    ),
    Case("imagenet_squeezenet", "macs", 0.8, 200, 1),
    Case("imagenet_squeezenet", "macs", 0.8, 200, 1, MAGNITUDE, "magnitude"),
    Case("imagenet_mobilenetv2", "macs", 0.8, 200, 1),
    Case("imagenet_mobilenetv2", "macs", 0.8, 200, 1, MAGNITUDE, "magnitude"),
    *(
        Case(model, "macs", 0.05, samples, 1, (*HALVES, "--recover", recover), f"halves-{recover}")
        for model, samples in (("sst2_tiny_encoder", 2000), ("tinyshakespeare_gpt", 512))
        for recover in ("refit", "none")
    ),
]


def corpus() -> Any:
    """Import the corpus' own evaluation."""
    sys.path.insert(0, str(corpus_folder()))
    import evaluate  # type: ignore[import-not-found]

    return evaluate


def draw(case: Case, seed: int) -> Iterator[Mapping[str, np.ndarray]]:
    """Yield so many samples without labels, one at a time, in a random order."""
    if case.model == "resnet50":
        random = np.random.default_rng(seed)
        for _ in range(case.samples):
            yield {"x": random.normal(0, 1, (1, 3, 224, 224)).astype(np.float32)}
        return
    scoring = corpus()
    entry = scoring.manifest()[case.model]
    name = entry["inputs"][0]["name"]
    if entry["evaluator"] != "npz_top1":
        yield from scoring.calibration_batches(case.model, case.samples)
        return
    images = scoring.npz_xy(entry, "train")[0]
    chosen = np.random.default_rng(seed).permutation(len(images))[: case.samples]
    for image in scoring.arr_input(entry, images[chosen]):
        yield {name: image[None]}


def model_of(case: Case, work: Path) -> Path:
    """Return the file of the model, which is made where it is none of the corpus."""
    if case.model == "resnet50":
        path = work / "resnet50.onnx"
        if not path.exists():
            import resnet50

            resnet50.write(path)
        return path
    scoring = corpus()
    return Path(scoring.path(scoring.manifest()[case.model]["model"]))


def samples_of(case: Case, seed: int, work: Path) -> Path:
    """Return the folder of a draw of samples, which is filled where it is not there."""
    samples = work / f"{case.model}-{case.samples}-{seed}"
    if not samples.exists():
        samples.mkdir(parents=True)
        for at, feeds in enumerate(draw(case, seed)):
            np.savez(samples / f"{at:05d}.npz", **feeds)
    return samples


def prune(case: Case, seed: int, work: Path) -> tuple[Path, dict[str, Any]]:
    """Prune in a process of its own; return the file and what it took."""
    to = work / f"{case.name}-{seed}.onnx"
    record = to.with_suffix(".json")
    if record.exists():
        return to, dict(json.loads(record.read_text()))
    samples = samples_of(case, seed, work)
    program = str(Path(sys.executable).with_name("onnxopt"))
    page = to.with_suffix(".html")
    command = [program, "prune", str(model_of(case, work)), "-o", str(to), "--no-measure"]
    command += [f"--{case.goal}", str(case.share), "--samples", str(samples), *case.options]
    command += ["--target", "cpu{threads=1}"] if case.goal == "latency" else []
    ran = run_measured([*command, "--seed", str(seed), "--html", str(page)], LIMIT_S)
    took = {"seconds": ran.seconds, "peak_mb": ran.peak_mb}
    if ran.status:
        return to, {"error": ran.tail[-300:], **took}
    record.write_text(json.dumps(took))
    return to, took


def score(case: Case, given: Path, path: Path) -> dict[str, Any]:
    """Return the metric, and the share of decisions that are those of the model given."""
    if case.model == "resnet50":
        return {}
    scoring = corpus()
    entry = scoring.manifest()[case.model]
    found: dict[str, Any] = {
        "metric": scoring.evaluate(case.model, str(path)),
        "original": entry["value"],
    }
    if entry["evaluator"] == "npz_top1":
        images = scoring.arr_input(entry, scoring.npz_xy(entry)[0])
        feeds = {entry["inputs"][0]["name"]: images}
        one, other = (scoring.Runner(str(file))(feeds)[0].argmax(1) for file in (given, path))
        found["agreement"] = float((one == other).mean())
    return found


def amounts(given: Path, path: Path) -> dict[str, float]:
    """Return what is left of multiply-adds and bytes."""
    import onnxopt

    one, other = onnxopt.inspect(given), onnxopt.inspect(path)
    return {
        "macs_left": other.macs / one.macs,
        "bytes_left": path.stat().st_size / given.stat().st_size,
    }


def latency(case: Case, given: Path, path: Path) -> dict[str, Any]:
    """Measure one thread against the model given: how many times faster, with the interval."""
    import onnxopt

    shapes = ["x=1,3,224,224"] if case.model == "resnet50" else []
    report = onnxopt.bench(given, path, threads=1, shapes=shapes, budget=20.0)
    ratio = report.rows[1].ratio
    if ratio is None:
        return {"error": report.rows[1].error}
    return {"speed": 1 / ratio.value, "low": 1 / ratio.high, "high": 1 / ratio.low}


def main() -> None:
    """Read the command line, prune, score, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is made")
    parser.add_argument("--only", nargs="*", help="cases or models; all by default")
    parser.add_argument("--latency", action="store_true", help="measure latency too")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if options.only and not {case.name, case.model} & set(options.only):
            continue
        given, draws = model_of(case, options.work), []
        for seed in range(case.draws):
            path, row = prune(case, seed, options.work)
            if "error" not in row:
                row |= score(case, given, path) | amounts(given, path)
                if options.latency:
                    row["latency"] = latency(case, given, path)
            draws.append(row)
        means = {
            key: float(np.mean([row[key] for row in draws]))
            for key in ("metric", "agreement", "macs_left", "seconds")
            if all(key in row for row in draws)
        }
        print(case.name, json.dumps(means), draws[0].get("error", ""), flush=True)
        write_results("pruning", {"models": {case.name: {**means, "draws": draws}}}, part=True)


if __name__ == "__main__":
    main()
