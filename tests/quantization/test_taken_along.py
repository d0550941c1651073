"""Products whose activation ONNX Runtime would take along run on integers, with a bias or none."""

from __future__ import annotations

import numpy as np
import pytest

import onnxopt
from onnxopt.samples import Samples
from tests.contract.corpus.build import normal
from tests.passes import weights

ROWS = Samples.of([{"x": np.abs(normal(4, 16, seed=seed))} for seed in range(8)])
WEIGHTS = {
    "w": weights.normal(16, 16),
    "v": weights.normal(16, 16),
    "b": weights.normal(16),
    "lo": weights.number(0),
    "hi": weights.number(6),
}
TAILS = {
    "in float": "y = Sqrt (r)",
    "with another": "y = Add (r, x)",
    "twice": "s = Abs (r) t = Sqrt (r) y = Add (s, t)",
    "as the output": "y = Identity (r)",
    "on integers": "y = MatMul (r, v)",
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("activation", ["Relu (h)", "Clip (h, lo, hi)", "Sigmoid (h)"])
@pytest.mark.parametrize(
    "product",
    [
        "h = MatMul (x, w)",
        "h = Gemm (x, w)",
        "h = Gemm (x, w, b)",
        "m = MatMul (x, w) h = Add (m, b)",
    ],
)
def test_what_runs_is_what_was_foretold(product: str, activation: str, tail: str) -> None:
    text = f"{product} r = {activation} {TAILS[tail]}"
    given = weights.model(f"(float[B,16] x) => (float[B,16] y) {{ {text} }}", WEIGHTS, opset=20)
    _, report = onnxopt.quantize_with_report(given, samples=ROWS, scheme="int8", measure=False)
    (row,) = report.tried
    assert (row.confirmed, row.unlike, row.integer_share) == (True, [], 1.0)
