"""Real models before and after optimization: no number differs, and inside they do not part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import onnxopt
from tests.source import ROOT

CORPUS = Path(os.environ.get("ONNXOPT_CORPUS", ROOT.parent / "shared" / "corpus"))
NAMES = ("cifar10_resnet20", "imagenet_squeezenet_fp16", "mnist_cntk", "sst2_tiny_encoder")


@pytest.fixture(params=NAMES)
def path(request: pytest.FixtureRequest) -> Path:
    """Return the file of a model."""
    found = CORPUS / str(request.param) / "model.onnx"
    if not found.is_file():
        pytest.skip(f"no corpus of models at {CORPUS}")
    return found


def test_an_optimized_model_does_not_part_from_its_original(path: Path) -> None:
    small = onnxopt.optimize(path, verify="off")
    report = onnxopt.compare(path, small, layers=True)
    assert report.within, str(report)
    assert report.parting is not None
    assert report.parting.first is None, str(report)
    assert len(report.parting.layers) > 0.6 * report.parting.tensors[1]
    found = onnxopt.diff(path, small)
    assert found.same > 0
    assert found.counts != (0, 0, 0)


def test_half_precision_is_measured_against_single() -> None:
    paths = [CORPUS / name / "model.onnx" for name in ("imagenet_squeezenet", NAMES[1])]
    if not all(path.is_file() for path in paths):
        pytest.skip(f"no corpus of models at {CORPUS}")
    report = onnxopt.compare(*paths, layers=True)
    assert report.within
    assert report.outputs[0].errors.sqnr > 50
    assert report.parting is not None
    assert len(report.parting.layers) > 60
