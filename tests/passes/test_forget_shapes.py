"""Types and shapes of inner values, forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from onnxopt.base import Context
from onnxopt.passes.forget_shapes import ForgetShapes
from onnxopt.shapes import infer
from tests.passes.tools import check, model_of
from tests.passes.weights import model

TEXT = "(float[N,4] x) => (float[N,4] y) { a = Relu(x) y = Neg(a) }"


def test_only_what_the_file_must_say_is_kept() -> None:
    kept = check(TEXT, "forget-shapes", ["Relu", "Neg"])
    inner, output = (node.outputs[0] for node in kept.graph)
    assert (inner.type, inner.shape) == (None, None)
    assert output.type is not None


@pytest.mark.parametrize(("batch", "shape"), [("N", ["N", 4, 6, 10]), ("3", None)])
def test_what_the_runtime_cannot_infer_is_kept(batch: str, shape: list[object] | None) -> None:
    sides = f"(float[{batch},4,3,5] x) => (float[{batch},4,H,W] y)"
    text = f'{sides} {{ r = Resize<mode="nearest">(x, , s) y = Relu(r) }}'
    made = model(text, {"s": np.array([1, 1, 2, 2], np.float32)})
    check(made, "forget-shapes", ["Resize", "Relu"])
    found = next(node.outputs[0].shape for node in made.graph if node.op_type == "Resize")
    assert (None if found is None else [getattr(d, "value", d) for d in found]) == shape


def test_every_value_is_counted_once() -> None:
    made = model_of(TEXT)
    infer(made)
    assert [ForgetShapes().run(made, Context()) for _ in range(2)] == [1, 0]
