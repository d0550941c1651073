"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

from onnxopt.io import save
from tests.cli.command import command
from tests.passes.tools import model_of

onnxopt = pytest.fixture(command, name="onnxopt")

TEXT = """(float[n,4] x) => (float[n,4] y) {
    w = Constant<value = float[4] {1, 2, 3, 4}>() v = Exp(w) a = Identity(x) b = Mul(a, v)
    dead = Sin(b) c = Dropout(b) y = Relu(c) }"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of a small model with something for every pass."""
    path = tmp_path / "model.onnx"
    model: ir.Model = model_of(TEXT)
    save(model, path)
    return path
