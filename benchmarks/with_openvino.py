"""Quantize the corpus' models for OpenVINO: onnxopt by default against NNCF and against bfloat16.

For each model: ``onnxopt quantize --target openvino`` without a hint, and NNCF's ``quantize`` with
both of its presets in an environment of its own (``--nncf PYTHON``), on the same samples; then the
corpus' metric and the latency of every file in OpenVINO, and of the model given in ONNX Runtime.
All are open in one process on one thread and run in turn, in an order that changes; the figure is
the ratio of the shortest blocks, beside that of the medians. ``--make`` makes files and scores
them, ``--measure`` times what is there. Keeps what it made in WORK.
Writes results/with_openvino.json.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import read_results, write_results
from quantization import corpus, feeds_of

MODELS = (
    "cifar10_resnet20",
    "cifar10_resnet56",
    "imagenet_mobilenetv2",
    "imagenet_squeezenet",
    "magika_v3_3",
    "sst2_tiny_encoder",
    "tinyshakespeare_gpt",
    "yolox_nano",
)
TRANSFORMERS = ("sst2_tiny_encoder", "tinyshakespeare_gpt")
ROUNDS = 25
BLOCK_S = 0.03

BY_NNCF = """
import glob, sys
import numpy as np, nncf, openvino as ov
model, samples, to, preset, kind = sys.argv[1:]
network = ov.Core().read_model(model)
names = [port.any_name for port in network.inputs]
feeds = [dict(np.load(file)) for file in sorted(glob.glob(samples + "/*.npz"))]
data = nncf.Dataset(feeds, lambda each: {name: each[name] for name in names})
options = {"model_type": nncf.ModelType.TRANSFORMER} if kind == "transformer" else {}
made = nncf.quantize(
    network, data, preset=nncf.QuantizationPreset[preset], subset_size=len(feeds), **options)
ov.save_model(made, to, compress_to_fp16=False)
"""


class Port(NamedTuple):
    """An input as ONNX Runtime tells of it."""

    name: str
    shape: list[int | str]
    type: str


class OnOpenvino:
    """A file in OpenVINO behind the methods of an ONNX Runtime session."""

    def __init__(self, path: Path, precision: str, ports: list[Port]) -> None:
        import openvino as ov

        core = ov.Core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": "1",
            "ENABLE_CPU_PINNING": "NO",
        }
        if precision == "f32":  # as onnxopt's own target sets it
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "0"
        self._compiled = core.compile_model(core.read_model(str(path)), "CPU", settings)
        self._request = self._compiled.create_infer_request()
        self._names = {port.any_name for port in self._compiled.inputs}
        self._ports = ports

    def get_inputs(self) -> list[Port]:
        """Return the inputs of the model given."""
        return self._ports

    def run(self, _: None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run once and return the outputs."""
        self._request.infer({name: feeds[name] for name in feeds if name in self._names})
        outputs = range(len(self._compiled.outputs))
        return [np.array(self._request.get_output_tensor(at).data) for at in outputs]


def on_onnxruntime(path: Path) -> Any:
    """Open a file in ONNX Runtime on one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def make(name: str, folder: Path, nncf: Path) -> None:
    """Make the files that are not there yet."""
    scoring = corpus()
    model = str(scoring.path(scoring.manifest()[name]["model"]))
    samples = folder / "samples"
    if not samples.exists():
        samples.mkdir(parents=True)
        for at, feeds in enumerate(feeds_of(name)):
            np.savez(samples / f"{at:04d}.npz", **feeds)
    ours = folder / "onnxopt.onnx"
    if not ours.exists():
        program = str(Path(sys.executable).with_name("onnxopt"))
        command = [program, "quantize", model, "-o", str(ours), "--samples", str(samples)]
        command += ["--target", "openvino", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        ours.with_suffix(".json").write_text(done.stdout)
    for preset in ("PERFORMANCE", "MIXED"):
        to = folder / f"nncf_{preset.lower()}.xml"
        kind = "transformer" if name in TRANSFORMERS else "other"
        if not to.exists():
            arguments = [model, str(samples), str(to), preset, kind]
            command = [str(nncf), "-c", BY_NNCF, *arguments]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                to.with_suffix(".error").write_text(done.stderr.strip()[-300:])


def opened(name: str, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return what opens each variant of a model that is there."""
    scoring = corpus()
    given = Path(scoring.path(scoring.manifest()[name]["model"]))
    ports = [Port(i.name, i.shape, i.type) for i in on_onnxruntime(given).get_inputs()]
    report = json.loads((folder / "onnxopt.json").read_text())
    row = next((row for row in report["tried"] if row["scheme"] == report["chosen"]), {})
    half = next((name for name in ("bf16", "f16") if name in row.get("runs_with", "")), "f32")
    variants: dict[str, tuple[Path, str]] = {
        "openvino_f32": (given, "f32"),
        "openvino_bf16": (given, "bf16"),
        "onnxopt": (folder / "onnxopt.onnx", half),
    }
    for preset in ("performance", "mixed"):
        path = folder / f"nncf_{preset}.xml"
        if path.exists():
            variants[f"nncf_{preset}"] = path, "f32"
            variants[f"nncf_{preset}_bf16"] = path, "bf16"
    made = {
        key: (lambda path=path, half=half: OnOpenvino(path, half, ports))
        for key, (path, half) in variants.items()
    }
    return {"onnxruntime": lambda: on_onnxruntime(given), **made}


def scored(name: str, folder: Path) -> dict[str, Any]:
    """Return the metric of every variant."""
    scoring = corpus()
    plain, rows = scoring.session, {}
    for which, open_ in opened(name, folder).items():
        scoring.session = lambda _, open_=open_: open_()
        try:
            rows[which] = {"metric": scoring.evaluate(name, "")}
        except Exception as error:
            rows[which] = {"error": str(error)[-200:]}
        finally:
            scoring.session = plain
    for preset in ("performance", "mixed"):
        why = folder / f"nncf_{preset}.error"
        if why.exists():
            rows[f"nncf_{preset}"] = {"error": why.read_text()}
    rows["onnxopt"]["report"] = json.loads((folder / "onnxopt.json").read_text())
    return rows


def timed(name: str, folder: Path) -> dict[str, dict[str, float]]:
    """Return the latency of every variant over that of the model given in ONNX Runtime."""
    sessions = {which: open_() for which, open_ in opened(name, folder).items()}
    feeds = [dict(np.load(file)) for file in sorted((folder / "samples").iterdir())[:4]]
    for session in sessions.values():
        for each in feeds:
            session.run(None, each)
    start = time.perf_counter()
    sessions["onnxruntime"].run(None, feeds[0])
    runs = max(1, int(BLOCK_S / (time.perf_counter() - start)))
    blocks: dict[str, list[float]] = {which: [] for which in sessions}
    order, chance = list(sessions), random.Random(0)
    for _ in range(ROUNDS):
        chance.shuffle(order)
        for which in order:
            start = time.perf_counter()
            for at in range(runs):
                sessions[which].run(None, feeds[at % len(feeds)])
            blocks[which].append((time.perf_counter() - start) / runs)
    base = blocks["onnxruntime"]
    return {
        which: {
            "speed": min(base) / min(found),
            "median_speed": statistics.median(base) / statistics.median(found),
        }
        for which, found in blocks.items()
    }


def main() -> None:
    """Read the command line; make, score, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is made")
    parser.add_argument("--nncf", type=Path, default=Path(), help="a Python that has NNCF")
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    for name in options.only:
        folder = options.work / name
        rows = read_results("with_openvino").get("models", {}).get(name, {})
        if options.make:
            make(name, folder, options.nncf)
            rows = scored(name, folder)
        if options.measure:
            for which, row in timed(name, folder).items():
                rows[which] = {**rows.get(which, {}), **row}
        write_results("with_openvino", {"models": {name: rows}}, part=True)
        cells = [f"{w} {r.get('metric', 0):.4f} {r.get('speed', 0):.2f}" for w, r in rows.items()]
        print(f"{name:22s} " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
