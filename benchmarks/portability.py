"""Score int8 models as processors without VNNI compute them, whose sums saturate at 16 bits.

For each model: ``onnxopt quantize`` with the schemes ``int8`` and ``int8-portable``; each file is
scored on the first labelled samples in ONNX Runtime on this machine, which has VNNI, and with what
saturation does to every product carried through the model, as the instruction has it. Writes
results/portability.json.
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
from quantization import corpus, feeds_of

MODELS = ("cifar10_resnet20", "magika_v3_3", "sst2_tiny_encoder", "imagenet_mobilenetv2")
SCHEMES = ("int8", "int8-portable", "int8-dynamic")


class Emulated:
    """A quantized file on a processor without VNNI, behind the methods of a session."""

    def __init__(self, path: Path) -> None:
        from onnxopt import catalogue, io, lossless
        from onnxopt.quantization.saturation import Saturating

        self._told = corpus().plain_session(str(path))
        self._names = [each.name for each in self._told.get_outputs()]
        self.session = Saturating(io.load(path), catalogue.backend(lossless.REFERENCE).open)

    def get_inputs(self) -> Any:
        """Return the inputs as ONNX Runtime tells of them."""
        return self._told.get_inputs()

    def run(self, _: None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run once and return the outputs."""
        found = self.session.run(feeds)
        return [found[name] for name in self._names]


def quantized(name: str, scheme: str, folder: Path) -> Path:
    """Return the file of a scheme, made where it is not there."""
    scoring = corpus()
    samples, to = folder / "samples", folder / f"{scheme}.onnx"
    if not samples.exists():
        samples.mkdir(parents=True)
        for at, feeds in enumerate(feeds_of(name)):
            np.savez(samples / f"{at:04d}.npz", **feeds)
    if not to.exists():
        model = scoring.path(scoring.manifest()[name]["model"])
        program = str(Path(sys.executable).with_name("onnxopt"))
        command = [program, "quantize", model, "-o", str(to), "--samples", str(samples)]
        subprocess.run([*command, "--scheme", scheme, "--no-measure"], check=True)
    return to


def scores(name: str, path: Path, limit: int) -> dict[str, Any]:
    """Return the metric of a file here and where sums saturate, and the share of them that do."""
    scoring = corpus()
    here = scoring.evaluate(name, str(path), limit=limit)
    emulated = Emulated(path)
    scoring.session = lambda _: emulated
    try:
        there = scoring.evaluate(name, str(path), limit=limit)
    finally:
        scoring.session = scoring.plain_session
    touched = emulated.session.touched
    shares = {key: changed / of for key, (changed, of) in touched.items() if changed}
    return {"here": here, "without_vnni": there, "touched": shares}


def main() -> None:
    """Read the command line, quantize, score and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is made")
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--limit", type=int, default=200, help="labelled samples")
    options = parser.parse_args()
    scoring = corpus()
    scoring.plain_session = scoring.session
    for name in options.only:
        model = str(scoring.path(scoring.manifest()[name]["model"]))
        rows: dict[str, Any] = {
            "samples": options.limit,
            "given": {"here": scoring.evaluate(name, model, limit=options.limit)},
        }
        for scheme in SCHEMES:
            path = quantized(name, scheme, options.work / name)
            row = rows[scheme] = scores(name, path, options.limit)
            print(
                f"{name:22s} {scheme:14s} {row['here']:.4f} here, "
                f"{row['without_vnni']:.4f} without VNNI; {len(row['touched'])} products touched",
                flush=True,
            )
        write_results("portability", {"models": {name: rows}}, part=True)


if __name__ == "__main__":
    main()
