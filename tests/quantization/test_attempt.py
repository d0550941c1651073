"""What calibrating costs a scheme, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onnxopt
from onnxopt.errors import SampleError
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


def test_values_without_a_range_are_told() -> None:
    text = LARGE.replace("r = Relu", "r = Sqrt")
    matrix = weights.normal(600, 600) / np.float32(24)
    given = weights.model(text, {"w": matrix, "v": matrix[::-1].copy()}, opset=21)
    _, report = onnxopt.quantize_with_report(given, samples=TEXTS, scheme="int8", measure=False)
    assert "no range was found where 'r' holds NaN in sample 1" in report.notes


def test_a_bad_sample_is_named_by_its_file(tmp_path: Path) -> None:
    given = weights.model(LARGE, {name: weights.normal(600, 600) for name in "wv"}, opset=21)
    for at in range(8):
        x = normal(4, 600, seed=at)
        x[0, 0] = np.nan if at == 6 else 0
        np.savez(tmp_path / f"{at}.npz", x=x)
    with pytest.raises(SampleError, match=r"input 'x' holds NaN in .*6\.npz"):
        onnxopt.quantize(given, samples=tmp_path, scheme="int8", measure=False)
