"""A model that ONNX Runtime's own tool has quantized, against the float model it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import onnxopt
from onnxopt.io import load
from onnxopt.samples import Samples
from tests.source import ROOT

DIGITS = ROOT / "examples" / "digits.onnx"
SAMPLES = ROOT / "examples" / "digits_samples"


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a QDQ model of the demo model, which has been optimized first."""
    tool = pytest.importorskip("onnxruntime.quantization")
    folder = tmp_path_factory.mktemp("quantized")
    small = onnxopt.optimize(DIGITS, samples=SAMPLES)
    onnxopt.save(small, folder / "float.onnx")

    class Reader(tool.CalibrationDataReader):  # type: ignore[misc, name-defined]
        """Feeds of the first samples."""

        def __init__(self) -> None:
            self._feeds: Iterator[dict[str, np.ndarray]] = map(
                dict, Samples.from_path(SAMPLES, load(DIGITS).graph.inputs).first(12)
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            """Return the next feeds."""
            return next(self._feeds, None)

    path = folder / "qdq.onnx"
    tool.quantize_static(str(folder / "float.onnx"), str(path), Reader(), per_channel=True)
    return path


def test_quantization_is_measured_layer_by_layer(quantized: Path) -> None:
    report = onnxopt.compare(DIGITS, quantized, samples=SAMPLES, layers=True, min_sqnr=20)
    assert report.within
    assert 20 < report.outputs[0].errors.sqnr < 60
    assert report.metrics[0].within_noise
    parting = report.parting
    assert parting is not None
    assert len(parting.layers) > 40
    first = parting.first
    assert first is not None
    kept = [layer for layer in parting.layers if not layer.doubtful]
    assert all(layer.sqnr > parting.floor for layer in kept if layer.place < first.place)
    moved = [layer for layer in parting.layers if layer.doubtful]
    assert moved
    assert all(layer.name != layer.other or layer.operator == "Relu" for layer in moved)


def test_the_difference_is_told_in_a_few_kinds(quantized: Path) -> None:
    found = onnxopt.diff(DIGITS, quantized)
    assert len(found.alike) < 20
    titles = {group[0].title for group in found.alike}
    assert "QuantizeLinear + DequantizeLinear added" in titles


def test_optimization_changes_no_number(tmp_path: Path) -> None:
    small = onnxopt.optimize(DIGITS, samples=SAMPLES)
    report = onnxopt.compare(DIGITS, small, samples=SAMPLES, layers=True)
    assert report.within
    assert report.parting is not None
    assert report.parting.first is None
    assert len(report.parting.layers) > 50
