"""Score weights in few bits with and without the passes that win accuracy back.

For each model, each form of weights and each pass: the model is optimized, the pass is run on the
corpus' samples, the weights of its matrix products are rounded, and the file is scored on labelled
data that no pass has seen. Writes results/recovery.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import read_results, write_results
from quantization import corpus, feeds_of

MODELS = ("tinyshakespeare_gpt", "sst2_tiny_encoder")


class Form(NamedTuple):
    """A form of weights."""

    name: str
    options: str
    operator_set: int


FORMS = (
    Form("binary", "type=binary, block=0, symmetric=true", 18),
    Form("2 bits, 16 a scale", "type=uint2, block=16, symmetric=false", 25),
    Form("2 bits, 64 a scale", "type=uint2, block=64, symmetric=false", 25),
    Form("4 bits, 32 a scale", "type=uint4, block=32, symmetric=false", 21),
    Form("4 bits, 128 a scale", "type=uint4, block=128, symmetric=false", 21),
)

PASSES = {
    "none": "",
    "equalize": "quantize/equalize",
    "awq": "quantize/awq{%s}",
    "gptq": "quantize/gptq{%s}",
    "adaround": "quantize/adaround{%s}",
    "awq, adaround": "quantize/awq{%s}, quantize/adaround{%s}",
}


def optimized(name: str) -> Any:
    """Return the model of the corpus after the lossless passes."""
    from onnxopt import floats, lossless

    scoring = corpus()
    source = Path(scoring.path(scoring.manifest()[name]["model"]))
    return lossless.run(source, lossless.Request(target="cpu", skip=floats.FORMS))[0]


def score(name: str, source: Any, form: Form, text: str, folder: Path) -> dict[str, float]:
    """Return the metric of a form of weights after some passes, and what it takes."""
    from onnxopt import catalogue, io, lossless
    from onnxopt.base import Context
    from onnxopt.pipeline import Pipeline
    from onnxopt.samples import Samples

    samples = [{key: np.asarray(array) for key, array in each.items()} for each in feeds_of(name)]
    context = Context(
        target=catalogue.find_backend("cpu").target(),
        evaluate=lossless.reference(),
        load=catalogue.backend(lossless.STREAM).open,
        samples=Samples.of(samples),
    )
    model, path = source.clone(), folder / "model.onnx"
    start = time.perf_counter()
    first = text.replace("%s", form.options)
    steps = [f"raise-opset{{to={form.operator_set}}}", "infer-shapes", *([first] if first else [])]
    weights = f"quantize/weights{{{form.options}}}"
    Pipeline.parse(", ".join([*steps, weights, "dce, forget-shapes"])).run(model, context)
    seconds = time.perf_counter() - start
    io.save(model, path)
    metric = corpus().evaluate(name, str(path))
    return {"metric": metric, "bytes": path.stat().st_size, "seconds": seconds}


def main() -> None:
    """Read the command line, try every combination and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS))
    names = [form.name for form in FORMS]
    parser.add_argument("--forms", nargs="*", choices=names, help="all by default")
    options = parser.parse_args()
    os.environ.setdefault("CORPUS_THREADS", "2")
    for name in options.only:
        scoring = corpus()
        given = Path(scoring.path(scoring.manifest()[name]["model"]))
        rows: dict[str, Any] = {
            "given": {"metric": scoring.evaluate(name, str(given)), "bytes": given.stat().st_size}
        }
        source = optimized(name)
        for form in FORMS:
            if options.forms and form.name not in options.forms:
                continue
            rows[form.name] = {}
            for which, text in PASSES.items():
                with tempfile.TemporaryDirectory() as folder:
                    found = score(name, source, form, text, Path(folder))
                rows[form.name][which] = found
                print(f"{name:22s} {form.name:20s} {which:14s} {found['metric']:.4f}", flush=True)
            before = read_results("recovery").get("models", {}).get(name, {})
            write_results("recovery", {"models": {name: {**before, **rows}}}, part=True)


if __name__ == "__main__":
    main()
