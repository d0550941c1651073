"""What inference writes over annotations that a file has."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph, shapes
from tests.passes.tools import model_of


def test_an_extent_spelled_otherwise_is_spelled_one_way() -> None:
    model = model_of("(float[N,3] x) => (y) { h = Relu(x) y = Abs(h) }")
    (relu, _) = model.graph
    relu.outputs[0].shape = ir.Shape(["(N + 1) - 1", 3])
    assert shapes.infer(model).changed
    assert graph.dims(relu.outputs[0]) == ("N", 3)
    assert not shapes.infer(model).changed
