"""Initializers of old models are constants; defaults of newer ones only where that is asked."""

from __future__ import annotations

import onnx.checker
import onnx_ir as ir
import pytest

import onnxopt
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


LISTED = """(float[n,2] x, float[2,2] w, float[2] b) => (float[n,2] y)
    <float[2,2] w = {1, 2, 3, 4}, float[2] b = {1, 2}%s> {
    a = MatMul(x, w) y = Add(a, %s) }"""


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (LISTED % ("", "b"), 2),
        (LISTED % (", float[2] c = {3, 4}", "c"), 0),
        (
            "(float[2] x, float[2] w, float[2] v) => (float[2] y) "
            "<float[2] w = {1, 2}, float[2] v = {3, 4}> { a = Add(x, w) y = Add(a, v) }",
            0,
        ),
    ],
    ids=["all", "some", "no layers"],
)
def test_weights_that_an_exporter_listed_by_habit(text: str, changes: int) -> None:
    model = model_of(text, opset=13)
    inputs = [value.name for value in model.graph.inputs]
    assert Pipeline.parse("freeze-initializers").run(model, Context()) == changes
    assert [value.name for value in model.graph.inputs] == (["x"] if changes else inputs)


def test_what_is_fixed_is_told() -> None:
    _, report = onnxopt.optimize_with_report(ir.to_proto(model_of(LISTED % ("", "b"), opset=13)))
    assert any("2 weights were inputs too: they are fixed now" in note for note in report.notes)
