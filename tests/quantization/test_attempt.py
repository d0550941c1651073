"""A scheme that chooses among ways to calibrate runs the samples for them once."""

from __future__ import annotations

import numpy as np
import pytest

import onnxopt
from onnxopt.quantization import calibration, stream
from onnxopt.samples import Samples
from tests.contract.corpus.build import normal
from tests.passes import weights

LARGE = "(float[4,600] x) => (float[4,600] y) { h = MatMul (x, w) r = Relu (h) y = MatMul (r, v) }"
TEXTS = Samples.of([{"x": normal(4, 600, seed=seed)} for seed in range(8)])


@pytest.mark.parametrize("opset", [12, 17, 21])
def test_samples_are_run_once(monkeypatch: pytest.MonkeyPatch, opset: int) -> None:
    ran: list[str] = []

    def counted(*asked: object) -> None:
        ran.append(str(asked[-1]))
        stream.stream(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(calibration, "stream", counted)
    matrix = weights.normal(600, 600) / np.float32(24)
    assert matrix.nbytes > 1 << 20  # so large that its contents are not compared
    given = weights.model(LARGE, {"w": matrix, "v": matrix[::-1].copy()}, opset=opset)
    _, report = onnxopt.quantize_with_report(given, samples=TEXTS, scheme="int8", measure=False)
    assert report.tried[0].layers == 2
    assert ran == ["calibration"]
