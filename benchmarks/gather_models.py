"""Put models that torch did not export beside the exports, with two recorded sizes of feeds.

The corpus (real models, real data), the light models inside the onnx package (IR 3, weights as
inputs) and pipelines of scikit-learn. Run with the interpreter of the peers' environment.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from common import corpus_folder

Feeds = dict[str, Any]


def store(folder: Path, feeds: list[Feeds], **info: Any) -> None:
    """Write the feeds and info.json of one model."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, feed in enumerate(feeds):
        np.savez(folder / f"feeds_{index}.npz", **feed)
    (folder / "info.json").write_text(json.dumps({"ok": True, "failed": {}, **info}, indent=1))
    print(folder.name, [{k: list(v.shape) for k, v in feed.items()} for feed in feeds])


def load_evaluator(corpus: Path) -> ModuleType:
    """Import the corpus' own evaluate.py."""
    spec = importlib.util.spec_from_file_location("evaluate", corpus / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def speech_feeds(evaluate: ModuleType, entry: dict[str, Any]) -> list[Feeds]:
    """Frames of speech and a state that is not zero, for one stream and for two."""
    sound = np.load(evaluate.path(entry["data"]))["wav"].astype(np.float32) / 32768
    random = np.random.default_rng(0)
    starts = (8000, 8999, 9998)
    return [
        {
            "input": np.stack([sound[at : at + 576] for at in starts[:batch]]),
            "state": random.normal(0, 0.3, (2, batch, 128)).astype(np.float32),
            "sr": np.array(16000, np.int64),
        }
        for batch in (1, 2)
    ]


def corpus_feeds(evaluate: ModuleType, entry: dict[str, Any]) -> list[Feeds]:
    """Two feeds of real data; where the batch is free, one of 1 and one of 3 samples."""
    signature = entry["inputs"][0]
    kind, free = entry["evaluator"], isinstance(signature["shape"][0], str)
    if kind == "vad":
        return speech_feeds(evaluate, entry)
    if kind == "det":
        samples = [
            evaluate.det_input(entry, evaluate.path(entry["data"], file))[0]
            for file in entry["images"][:2]
        ]
    elif kind in ("lm", "text_top1", "magika"):
        data = np.load(evaluate.path(entry["data"]))["x_test"]
        samples = [data[i : i + 1] for i in range(5)]
    else:
        name = signature["name"]
        samples = [feed[name] for feed in evaluate.calibration_batches(entry["name"], n=5)]
    kinds = {"float": np.float32, "float16": np.float16, "int64": np.int64, "int32": np.int32}
    arrays = [np.asarray(s).astype(kinds[signature["dtype"]]) for s in samples]
    second = np.concatenate(arrays[2:5]) if free else arrays[1]
    if kind in ("lm", "text_top1"):
        second = second[:, : second.shape[1] // 2]
    return [{signature["name"]: arrays[0]}, {signature["name"]: second}]


def gather_corpus(out: Path) -> None:
    """Record feeds for every model of the corpus; the model stays where it is."""
    corpus = corpus_folder().resolve()
    evaluate = load_evaluator(corpus)
    for name, entry in evaluate.manifest().items():
        model = str(corpus / entry["model"])
        store(out / name, corpus_feeds(evaluate, entry), exporter="corpus", model=model)


def gather_light(out: Path) -> None:
    """Record random images for the light models inside the onnx package."""
    import onnx.backend.test

    folder = Path(onnx.backend.test.__file__).parent / "data" / "light"
    for path in sorted(folder.glob("*.onnx")):
        graph = onnx.load(path).graph
        weights = {tensor.name for tensor in graph.initializer}
        value = next(v for v in graph.input if v.name not in weights)
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        random = np.random.default_rng(0)
        feeds = [{value.name: random.normal(size=shape).astype(np.float32)} for _ in range(2)]
        store(out / path.stem, feeds, exporter="light", model=str(path))


def pipelines() -> Iterator[tuple[str, Any]]:
    """Yield small scikit-learn pipelines."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    yield "logistic", make_pipeline(StandardScaler(), LogisticRegression())
    yield "forest", make_pipeline(MinMaxScaler(), RandomForestClassifier(8, random_state=0))
    yield (
        "perceptron",
        make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(16, 16), random_state=0)),
    )


def gather_sklearn(out: Path) -> None:
    """Fit and convert scikit-learn pipelines; classifiers end in ZipMap."""
    from skl2onnx import to_onnx

    random = np.random.default_rng(0)
    data = random.normal(size=(200, 6)).astype(np.float32)
    labels = (data[:, 0] + data[:, 1] > 0).astype(np.int64) + (data[:, 2] > 1)
    for name, pipeline in pipelines():
        pipeline.fit(data, labels)
        folder = out / f"sklearn_{name}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(to_onnx(pipeline, data[:1]).SerializeToString())
        store(folder, [{"X": data[:2]}, {"X": data[2:7]}], exporter="sklearn")


def main() -> None:
    """Read the command line and gather."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the exports")
    options = parser.parse_args()
    gather_sklearn(options.out)
    gather_light(options.out)
    gather_corpus(options.out)


if __name__ == "__main__":
    main()
