"""Deploy trained models of the corpus and torch modules, each whole, and say what came out.

OUT/<name>/ takes what `onnxopt deploy` writes; a model whose folder has a report is left alone. The
corpus' models are scored before and after on data that deploying did not see. OUT/SUMMARY.md and
results/deploying.json are written after each. Latency is only worth reading from a quiet machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import corpus_folder, write_results
from export_networks import run_limited
from quantization import corpus, feeds_of

CORPUS = (
    "cifar10_resnet20",
    "imagenet_squeezenet",
    "sst2_tiny_encoder",
    "nanodet_m_416",
    "tinyshakespeare_gpt",
)
MODULES = ("unet", "lstm", "shufflenet")
SAMPLES = 128


def corpus_samples(name: str) -> Any:
    """Return feeds of a corpus entry with labels where it keeps such; not scored but detectors'."""
    from onnxopt.samples import Sample, Samples

    scoring = corpus()
    feeds = list(itertools.islice(feeds_of(name), SAMPLES))
    entry = scoring.manifest()[name]
    if entry["evaluator"] != "npz_top1":
        return Samples.of(feeds)
    _, labels = scoring.npz_xy(entry, "train")
    pairs = [Sample(each, labels[at : at + 1]) for at, each in enumerate(feeds)]
    return Samples(lambda: iter(pairs), len(pairs))


def scores(out: Path, name: str) -> dict[str, Any]:
    """Return the metric of a corpus entry as it is and as it was deployed."""
    path = out / name / "scores.json"
    if not path.exists():
        scoring = corpus()
        entry = scoring.manifest()[name]
        after = scoring.evaluate(name, str(out / name / "model.onnx"))
        found = {"metric": entry["metric"], "before": entry["value"], "after": after}
        path.write_text(json.dumps(found))
    return dict(json.loads(path.read_text()))


def deploy_one(name: str, out: Path, budget: float) -> None:
    """Deploy one model, in this process."""
    from onnxopt import deploy
    from onnxopt.samples import Samples

    folder = out / name
    if name in CORPUS:
        model = corpus_folder() / name / "model.onnx"
        report = deploy(model, corpus_samples(name), folder=folder, budget=budget)
    else:
        import networks

        network = networks.catalogue()[name]()
        feeds = [
            {key: tensor.numpy() for key, tensor in network.feeds(network.sizes[0]).items()}
            for _ in range(SAMPLES // 4)
        ]
        report = deploy(
            network.module,
            Samples.of(feeds),
            folder=folder,
            inputs=feeds[0],
            dynamic=network.dynamic,
            outputs=network.outputs,
            budget=budget,
        )
    print(report)


def lines(out: Path) -> Iterator[str]:
    """Yield the rows of the table."""
    for path in sorted(out.glob("*/report.json")):
        report = json.loads(path.read_text())
        best = next(each for each in report["candidates"] if each["label"] == report["chosen"])
        ratio = best["ratio"]
        shown = "1 (itself)" if ratio is None else "{:.3f} ({:.3f} to {:.3f})".format(*ratio)
        first = report["candidates"][0]
        size = f"{best['weight_bytes'] / max(first['weight_bytes'], 1):.2f}"
        said = best["agrees"] or "the model itself"
        if path.parent.name in CORPUS:
            score = scores(out, path.parent.name)
            said += f"; {score['metric']} {score['after']:.4g}, was {score['before']:.4g}"
        yield (
            f"| {path.parent.name} | {report['chosen']} | {shown} | {size} | {said} "
            f"| {report['session']} | {report['seconds']:.0f} s |"
        )


def summarize(out: Path) -> None:
    """Write OUT/SUMMARY.md from every report."""
    head = [
        "| model | deployed | latency, share of the first | weights | outputs | session | took |"
    ]
    head += ["|---|---|---|---|---|---|---|"]
    (out / "SUMMARY.md").write_text("\n".join([*head, *lines(out)]) + "\n")
    models = {}
    for path in sorted(out.glob("*/report.json")):
        report, name = json.loads(path.read_text()), path.parent.name
        kept = ("chosen", "why", "candidates", "session", "session_why", "ways", "shipped")
        kept += ("not_taken", "warnings", "stages", "seconds")
        models[name] = {key: report[key] for key in kept}
        if name in CORPUS:
            models[name]["score"] = scores(out, name)
    write_results("deploying", {"models": models}, part=True)


def main() -> None:
    """Read the command line and deploy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--only", nargs="*", help="names of models; all by default")
    parser.add_argument("--budget", type=float, default=15, help="seconds a measurement")
    parser.add_argument("--limit", type=float, default=280, help="seconds a model")
    parser.add_argument("--here", action="store_true", help="in this process, without a limit")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only or (*CORPUS, *MODULES):
        if options.here:
            deploy_one(name, options.out, options.budget)
        elif not (options.out / name / "report.json").exists():
            command = [sys.executable, __file__, "--here", "--out", str(options.out)]
            command += ["--only", name, "--budget", str(options.budget)]
            problem = run_limited(command, options.limit, options.out / f"{name}.log")
            print(name, problem or "done", flush=True)
            summarize(options.out)


if __name__ == "__main__":
    main()
