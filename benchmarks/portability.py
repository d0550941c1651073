"""Score int8 models as processors without VNNI compute them, whose sums saturate at 16 bits.

Each model is quantized to int8 with weights of 8 bits, of 7, and ``portable`` ones, as
``quantize/static`` makes them with no layer left out. Each file is scored on all labelled samples:
``exact`` with ONNX Runtime's optimizer off, which computes what the file says, as a processor with
VNNI does, and ``here``, as the processor at hand computes it. On the first ``--limit`` samples it
is scored with what saturation does to every product carried through the model (``foretold``), and
once more here: without VNNI the two are to agree, but for how outputs are rounded to integers, a
step at most. ``signal_db`` is that of the worst output, computed here, over the calibration's
samples. Writes results/portability.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from common import write_results
from quantization import corpus, feeds_of, sqnr

MODELS = (
    "cifar10_resnet20",
    "cifar10_resnet56",
    "magika_v3_3",
    "sst2_tiny_encoder",
    "imagenet_mobilenetv2",
    "imagenet_squeezenet",
)
WEIGHTS = {"8 bits": "weight-bits=8", "7 bits": "weight-bits=7", "portable": "portable=true"}


class Emulated:
    """A quantized file on a processor without VNNI, behind the methods of a session."""

    def __init__(self, path: str) -> None:
        from onnxopt import catalogue, io, lossless
        from onnxopt.quantization.saturation import Saturating

        self._told = corpus().plain_session(path)
        self._names = [each.name for each in self._told.get_outputs()]
        self.session = Saturating(io.load(path), catalogue.backend(lossless.REFERENCE).open)

    def get_inputs(self) -> Any:
        """Return the inputs as ONNX Runtime tells of them."""
        return self._told.get_inputs()

    def run(self, _: None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run once and return the outputs."""
        found = self.session.run(feeds)
        return [found[name] for name in self._names]


def exact(path: str) -> Any:
    """Open a file on ONNX Runtime with its optimizer off."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def quantized(name: str, weights: str, folder: Path) -> Path:
    """Return the file with such weights, made where it is not there."""
    scoring = corpus()
    samples, to = folder / "samples", folder / f"{weights}.onnx"
    if not samples.exists():
        samples.mkdir(parents=True)
        for at, feeds in enumerate(feeds_of(name)):
            np.savez(samples / f"{at:04d}.npz", **feeds)
    if not to.exists():
        model = scoring.path(scoring.manifest()[name]["model"])
        program = str(Path(sys.executable).with_name("onnxopt"))
        scheme = f"quantize/calibrate{{method=mse}}, quantize/static{{{WEIGHTS[weights]}}}"
        command = [program, "quantize", model, "-o", str(to), "--samples", str(samples)]
        options = ["--scheme", scheme, "--no-compare", "--no-measure"]
        subprocess.run([*command, *options], check=True)
    return to


def scores(name: str, given: str, path: Path, limit: int) -> dict[str, Any]:
    """Return the metrics of a file, and the share of each product's numbers that saturate."""
    scoring = corpus()
    emulated = Emulated(str(path))

    def score(session: Any, limit: int | None = None) -> float:
        scoring.session = session
        try:
            return float(scoring.evaluate(name, str(path), limit=limit))
        finally:
            scoring.session = scoring.plain_session

    found = {
        "exact": score(exact),
        "here": score(scoring.plain_session),
        "signal_db": sqnr(Path(given), path, sorted(path.parent.glob("samples/*.npz"))),
        "here_of_first": score(scoring.plain_session, limit),
        "foretold_of_first": score(lambda _: emulated, limit),
    }
    counts = emulated.session.touched.items()
    return {**found, "touched": {key: changed / of for key, (changed, of) in counts if changed}}


def main() -> None:
    """Read the command line, quantize, score and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is made")
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--limit", type=int, default=200, help="samples that are emulated")
    options = parser.parse_args()
    scoring = corpus()
    scoring.plain_session = scoring.session
    for name in options.only:
        model = str(scoring.path(scoring.manifest()[name]["model"]))
        rows: dict[str, Any] = {
            "metric": scoring.manifest()[name]["metric"],
            "limit": options.limit,
            "given": scoring.evaluate(name, model),
        }
        for weights in WEIGHTS:
            path = quantized(name, weights, options.work / name)
            row = rows[weights] = scores(name, model, path, options.limit)
            print(
                f"{name:22s} {weights:10s} exact {row['exact']:.4f}, here {row['here']:.4f}; of "
                f"{options.limit} here {row['here_of_first']:.4f}, foretold "
                f"{row['foretold_of_first']:.4f}; {len(row['touched'])} products touched",
                flush=True,
            )
        write_results("portability", {"models": {name: rows}}, part=True)


if __name__ == "__main__":
    main()
