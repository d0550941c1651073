"""Small models the backend tests run."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

WIDTH = 64


def weight() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)


def dense_model() -> ir.Model:
    """``y = relu(x @ w)`` with a weight large enough to travel beside the protobuf."""
    array = weight()
    w = ir.Value(
        name="w",
        const_value=ir.Tensor(array, name="w"),
        type=ir.TensorType(ir.DataType.FLOAT),
        shape=ir.Shape(array.shape),
    )
    x = tensor("x", ir.DataType.FLOAT, ("N", WIDTH))
    product = ir.Node("", "MatMul", [x, w], name="product", num_outputs=1)
    product.outputs[0].name = "xw"
    y = tensor("y", ir.DataType.FLOAT, ("N", WIDTH))
    relu = ir.Node("", "Relu", product.outputs, name="relu", outputs=[y])
    return ir.Model(
        ir.Graph([x], [y], nodes=[product, relu], initializers=[w], opset_imports={"": 20}),
        ir_version=9,
    )


def tensor(name: str, kind: ir.DataType, shape: tuple[int | str, ...]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(shape))


def single(node: ir.Node, inputs: list[ir.Value], opset: int = 20) -> ir.Model:
    """Wrap one node as a model."""
    graph = ir.Graph(inputs, node.outputs, nodes=[node], opset_imports={"": opset}, name="single")
    return ir.Model(graph, ir_version=9)
