"""Types and shapes of inner values, forgotten."""

from __future__ import annotations

from onnxopt.base import Context
from onnxopt.passes.forget_shapes import ForgetShapes
from onnxopt.shapes import infer
from tests.passes.tools import check, model_of

TEXT = "(float[N,4] x) => (float[N,4] y) { a = Relu(x) y = Neg(a) }"


def test_only_what_the_file_must_say_is_kept() -> None:
    model = check(TEXT, "forget-shapes", ["Relu", "Neg"])
    inner, output = (node.outputs[0] for node in model.graph)
    assert (inner.type, inner.shape) == (None, None)
    assert output.type is not None


def test_every_value_is_counted_once() -> None:
    model = model_of(TEXT)
    infer(model)
    assert [ForgetShapes().run(model, Context()) for _ in range(2)] == [1, 0]
