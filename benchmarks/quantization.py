"""Quantize the corpus' models: onnxopt by default against ONNX Runtime's own quantizers.

For each model: ``onnxopt quantize`` without a hint, and ONNX Runtime's ``quantize_static`` at its
defaults and at its best (pre-processed, uint8 activations, int8 weights for each channel; the same
of convolutions and products alone, per tensor) and ``quantize_dynamic``; then the corpus' metric
and the latency of every file against the model given, at one and two threads and, where a model
leaves its batch open, at batches of 1 and 8. Calibration has samples of its own, except for the
detectors and the voice detector, whose data is scored too. With ``--exports`` the same for exports
of export_networks.py: their weights are random, so the signal to noise ratio of the worst output
takes the metric's place. Keeps what it made in WORK and
goes on where it was stopped; ``--stages`` does part of it, since ``own`` and ``time`` want a quiet
machine. Writes results/quantization.json.
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
    "silero_vad_16k": 64,
    "silero_vad_op18": 64,
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
    if entry["evaluator"] == "vad":
        yield from frames_of(entry, scoring)
        return
    if entry["evaluator"] != "det":
        yield from scoring.calibration_batches(name, SAMPLES[name])
        return
    folder = Path(scoring.path(entry["data"], "coco_val"))
    for image in sorted(folder.iterdir())[: SAMPLES[name]]:
        yield {entry["inputs"][0]["name"]: scoring.det_input(entry, image)[0]}


def frames_of(entry: Mapping[str, Any], scoring: Any) -> Iterator[Feeds]:
    """Yield frames of speech from all over the recording, with the state that led to each."""
    session = scoring.session(scoring.path(entry["model"]))
    wave = np.load(scoring.path(entry["data"]))["wav"].astype(np.float32) / 32768
    names = {value.name for value in session.get_inputs()}
    state, before = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32)
    frames = range(0, len(wave) - 511, 512)
    taken = set(frames[:: len(frames) // SAMPLES[entry["name"]]])
    for at in frames:
        x = np.concatenate([before, wave[None, at : at + 512]], 1)
        feeds = {"input": x, "state": state, "sr": np.array(16000, np.int64)}
        feeds = {name: array for name, array in feeds.items() if name in names}
        if at in taken:
            yield feeds
        state, before = session.run(None, feeds)[1], x[:, -64:]


def made_up(folder: Path, count: int = 16) -> Iterator[Feeds]:
    """Yield feeds like an export's own: integers from the same values, normal numbers."""
    given = dict(np.load(folder / "feeds_0.npz"))
    random = np.random.default_rng(0)
    for _ in range(count):
        yield {
            name: random.permuted(array.reshape(-1)).reshape(array.shape)
            if array.dtype.kind in "iub"
            else random.normal(array.mean(), array.std() or 1.0, array.shape).astype(array.dtype)
            for name, array in given.items()
        }


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


def prepared(model: Path, to: Path) -> Path:
    """Return the model after ONNX Runtime's own preparation, without symbolic shapes if need be."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    before = to.with_suffix(".pre.onnx")
    try:
        quant_pre_process(str(model), str(before))
    except Exception:  # "Incomplete symbolic shape inference"
        quant_pre_process(str(model), str(before), skip_symbolic_shape=True)
    return before


def static_best(model: Path, to: Path, samples: Path) -> None:
    """Quantize statically in the form that is fastest on x86; per tensor where that fails."""
    from onnxruntime.quantization import QuantType, quantize_static

    before = prepared(model, to)
    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    try:
        quantize_static(str(before), str(to), Reader(samples), per_channel=True, **kinds)
    except ValueError:  # of shapes that it does not expect
        quantize_static(str(before), str(to), Reader(samples), **kinds)


def static_products(model: Path, to: Path, samples: Path) -> None:
    """Quantize convolutions and products alone, per tensor."""
    from onnxruntime.quantization import QuantType, quantize_static

    quantize_static(
        str(prepared(model, to)),
        str(to),
        Reader(samples),
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
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
    "static_products": static_products,
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


class Model:
    """A model of the corpus or an export: where it lies, its samples, and how it is scored."""

    def __init__(self, name: str, work: Path, exports: Path | None) -> None:
        self.name, self.folder = name, work / name
        self._export = None if exports is None or name in SAMPLES else exports / name
        scoring = corpus()
        self.path = (
            Path(scoring.path(scoring.manifest()[name]["model"]))
            if self._export is None
            else self._export / "model.onnx"
        )

    @property
    def samples(self) -> Path:
        """Write the samples where they are not there yet; return their folder."""
        folder = self.folder / "samples"
        if not folder.exists():
            folder.mkdir(parents=True)
            feeds = feeds_of(self.name) if self._export is None else made_up(self._export)
            for at, each in enumerate(feeds):
                np.savez(folder / f"{at:04d}.npz", **each)  # type: ignore[arg-type]
        return folder

    def score(self, path: Path) -> float:
        """Return the corpus' metric, or the signal to noise of an export's worst output in dB."""
        if self._export is None:
            return float(corpus().evaluate(self.name, str(path)))
        return sqnr(self.path, path, sorted(self.samples.glob("*.npz")))


def sqnr(given: Path, path: Path, samples: list[Path]) -> float:
    """Return the signal to noise ratio of the worst output over all samples, in dB."""
    before, after = (corpus().session(str(each)) for each in (given, path))
    sums = np.zeros((2, len(before.get_outputs())))
    for sample in samples:
        feeds = dict(np.load(sample))
        pairs = zip(before.run(None, feeds), after.run(None, feeds), strict=True)
        for at, (a, b) in enumerate(pairs):
            sums[:, at] += np.square(a).sum(dtype=float), np.square(a - b).sum(dtype=float)
    return float(np.min(10 * np.log10(sums[0] / sums[1])))


def rows_of(model: Model) -> dict[str, Any]:
    """Read what is known of a model already."""
    path = model.folder / "rows.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def make(model: Model, which: str, rows: dict[str, Any]) -> None:
    """Make one file where it is not there yet."""
    to = model.folder / f"{which}.onnx"
    samples = model.samples
    why = None
    if not to.exists():  # what is known of an earlier one is not true of this one
        rows[which] = {}
        why = make_in_process(which, model.path, to, samples)
    row = rows.setdefault(which, {})
    row.pop("error", None)
    if why is not None:
        row["error"] = why
        return
    row["bytes"] = to.stat().st_size
    if which == "onnxopt":
        row["report"] = json.loads(to.with_suffix(".json").read_text())


def score(model: Model, rows: dict[str, Any]) -> None:
    """Score every file that has not been."""
    rows.setdefault("given", {"bytes": model.path.stat().st_size})
    for which, row in rows.items():
        if "error" in row or "metric" in row:
            continue
        path = model.path if which == "given" else model.folder / f"{which}.onnx"
        try:
            row["metric"] = model.score(path)
        except Exception as error:
            row["error"] = str(error)[-200:]


def time(model: Model, rows: dict[str, Any], threads: list[int], budget: float) -> None:
    """Measure the latency of every file over the model's: value, and the 95 % interval."""
    import onnxopt as library
    from onnxopt.errors import OnnxoptError

    rows.setdefault("given", {"bytes": model.path.stat().st_size})
    files = {
        w: model.folder / f"{w}.onnx" for w in MAKERS if "error" not in rows.get(w, {"error": 0})
    }
    for batch in (1, 8):
        for count in threads:
            key = f"threads_{count}" if batch == 1 else f"threads_{count}_batch_{batch}"
            if all(key in rows[which] for which in files):
                continue
            try:
                report = library.bench(
                    model.path,
                    *files.values(),
                    samples=model.samples,
                    threads=count,
                    batch=() if batch == 1 else batch,
                    budget=budget,
                )
            except OnnxoptError as error:
                rows["given"][key] = {"error": str(error)[-200:]}
                break
            for which, row in zip(files, report.rows[1:], strict=True):
                rows[which][key] = _figures(row)


def _figures(row: Any) -> dict[str, Any]:
    if row.ratio is None:
        return {"error": row.error}
    ratio = row.ratio
    return {"speed": 1 / ratio.value, "low": 1 / ratio.high, "high": 1 / ratio.low}


def line_of(name: str, rows: Mapping[str, Any]) -> str:
    """Return one line for the console."""
    cells = [f"{name:22s} {rows.get('given', {}).get('metric', float('nan')):.4f}"]
    for which in MAKERS:
        row = rows.get(which, {})
        speeds = [found.get("speed") for key, found in row.items() if key.startswith("threads")]
        text = "/".join("-" if speed is None else f"{speed:.2f}" for speed in speeds)
        cells.append(f"{which} {row.get('metric', float('nan')):.4f} {text}")
    return " | ".join(cells)


STAGES = ("peers", "own", "score", "time")


def examine(model: Model, stages: list[str], threads: list[int], budget: float) -> dict[str, Any]:
    """Do some stages, keep what is known, and return it."""
    rows = rows_of(model)
    if "peers" in stages:
        for which in MAKERS:
            if which != "onnxopt":
                make(model, which, rows)
    if "own" in stages:
        make(model, "onnxopt", rows)
    if "score" in stages:
        score(model, rows)
    if "time" in stages:
        time(model, rows, threads, budget)
    (model.folder / "rows.json").write_text(json.dumps(rows))
    return rows


def main() -> None:
    """Read the command line, quantize, score, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder that keeps what is made")
    parser.add_argument("--only", nargs="*", default=list(SAMPLES))
    parser.add_argument("--exports", type=Path, help="folder of export_networks.py")
    parser.add_argument("--stages", nargs="*", choices=STAGES, default=list(STAGES))
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--budget", type=float, default=40.0, help="seconds for each setting")
    parser.add_argument("--make", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        which, *paths = options.make
        MAKERS[which](*map(Path, paths))
        return
    os.environ.setdefault("CORPUS_THREADS", "2")
    for name in options.only:
        model = Model(name, options.work, options.exports)
        rows = examine(model, options.stages, options.threads, options.budget)
        print(line_of(name, rows), flush=True)
        write_results("quantization", {"models": {name: rows}}, part=True)


if __name__ == "__main__":
    main()
