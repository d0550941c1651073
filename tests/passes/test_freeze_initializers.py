"""Initializers of old models are constants; defaults of newer ones only where that is asked."""

from __future__ import annotations

import onnx.checker
import onnx_ir as ir
import pytest

from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import model_of

TEXT = """(float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }"""


@pytest.mark.parametrize(
    ("version", "options", "changes"),
    [(3, "", 2), (4, "", 0), (10, "", 0), (10, "{overridable=true}", 1)],
)
def test_versions_of_the_file_format(version: int, options: str, changes: int) -> None:
    model = model_of(TEXT, opset=7)
    model.ir_version = version
    steps = Pipeline.parse(f"freeze-initializers{options}")
    assert steps.run(model, Context()) == changes
    frozen = ["x"] if changes else ["x", "w"]
    assert [value.name for value in model.graph.inputs] == frozen
    assert list(model.graph.initializers) == ["w"]
    assert model.ir_version == max(version, 4)
    assert steps.run(model, Context()) == 0
    onnx.checker.check_model(ir.to_proto(model))
