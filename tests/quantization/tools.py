"""What the tests of quantization share: models from text, calibrated, and what ran of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from onnxopt import catalogue, io, shapes
from onnxopt.backends._integer import X86, X86_VNNI, of_this_machine
from onnxopt.base import Context
from onnxopt.evaluate import evaluator
from onnxopt.pipeline import Pipeline
from onnxopt.quantization.coverage import Coverage, foretold, integer_operators, seen
from onnxopt.samples import Samples
from onnxopt.target import Feeds, Outputs, Target
from onnxopt.verify import Verify
from tests.contract.corpus.build import model

Array = npt.NDArray[Any]
EXACT = evaluator(catalogue.backend("cpu{optimization=off, threads=1}"))
LOAD = catalogue.backend("cpu{threads=1}").open
KERNELS = X86 if of_this_machine() is X86 else X86_VNNI
"""ONNX Runtime's on x86, where weights of 8 bits may saturate for a processor on which they do."""
TARGET = Target(name="cpu", pipeline="dce", probe_max_opset=lambda: 25, integer=KERNELS)


def read(text: str, weights: Mapping[str, Array], *, opset: int = 20) -> ir.Model:
    """Return a model with shapes."""
    made = io.from_proto(model(text, weights, opset=opset))
    shapes.infer(made)
    return made


def quantized(made: ir.Model, feeds: Sequence[Feeds], text: str = "quantize/static") -> int:
    """Calibrate a model and run a pipeline of quantization on it, its structure verified."""
    context = Context(target=TARGET, load=LOAD, samples=Samples.of(feeds))
    Pipeline.parse("quantize/calibrate").run(made, context)
    return Pipeline.parse(text).run(made, context, [Verify()])


def ran(made: ir.Model, folder: Path) -> list[tuple[str, str]]:
    """Return names and operators of what ONNX Runtime runs of a model."""
    path, to = folder / "model.onnx", folder / "ran.onnx"
    io.save(made, path)
    with catalogue.backend(f'cpu{{threads=1, save-optimized="{to}"}}').open(path):
        pass
    return [(node.name, node.op_type) for node in onnx.load(to).graph.node]


def coverage(made: ir.Model, folder: Path) -> tuple[Coverage, Coverage]:
    """Return which products are foretold to be integer, and which were."""
    expected = foretold(made, KERNELS)
    return expected, seen(expected, ran(made, folder), integer_operators(KERNELS))


def sqnr(expected: Outputs, actual: Outputs) -> float:
    """Return the signal over the error of all outputs together, in decibels."""
    signal = sum(float(np.square(a, dtype=np.float64).sum()) for a in expected.values())
    error = sum(
        float(np.square(a.astype(np.float64) - actual[name]).sum()) for name, a in expected.items()
    )
    return float(10 * np.log10(signal / error)) if error else float("inf")
