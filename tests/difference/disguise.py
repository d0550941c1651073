"""The same model under other names and in another order, and models with one thing changed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt.graph import graphs


def renamed(model: ir.Model) -> ir.Model:
    """Return a copy in which every value and node inside has another name."""
    copy = model.clone()
    kept = {id(value) for value in (*copy.graph.inputs, *copy.graph.outputs)}
    count = 0
    for graph in graphs(copy):
        held = list(graph.initializers.values())
        made = [value for node in graph for value in node.outputs if value.name]
        for value in held + made + list(graph.inputs):
            if id(value) not in kept:
                count += 1
                value.name = f"other_{count}"
        for node in graph:
            node.name = None
    return copy


def reordered(model: ir.Model, seed: int) -> ir.Model:
    """Return a copy whose nodes stand in another order that still computes before it reads."""
    copy = model.clone()
    rng = np.random.default_rng(seed)
    nodes = list(copy.graph)
    copy.graph.remove(nodes)
    rng.shuffle(nodes)
    copy.graph.extend(nodes)
    copy.graph.sort()
    return copy


def network(layers: int = 4, width: int = 8) -> ir.Model:
    """Return a residual network: ``Relu(x W + b) + x``, layer after layer, with a side branch."""
    rng = np.random.default_rng(layers)
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["n", width]))
    weights: list[ir.Value] = []
    nodes: list[ir.Node] = []

    def weight(name: str, *shape: int) -> ir.Value:
        held = ir.tensor(rng.normal(0, 0.4, shape).astype(np.float32), name=name)
        value = ir.Value(name=name, const_value=held, type=ir.TensorType(held.dtype))
        value.shape = ir.Shape(shape)
        weights.append(value)
        return value

    def add(op: str, name: str, *inputs: ir.Value, **attributes: float) -> ir.Value:
        node = ir.node(op, list(inputs), attributes=attributes)
        node.outputs[0].name = name
        nodes.append(node)
        return node.outputs[0]

    value = x
    for at in range(layers):
        product = add("MatMul", f"product_{at}", value, weight(f"w_{at}", width, width))
        total = add("Add", f"sum_{at}", product, weight(f"b_{at}", width))
        active = add("LeakyRelu", f"active_{at}", total, alpha=0.2)
        value = add("Add", f"layer_{at}", active, value)
    side = add("Softmax", "side", value)
    value = add("Mul", "y", side, value)
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["n", width])
    graph = ir.Graph(
        [x], [value], nodes=nodes, initializers=weights, opset_imports={"": 20}, name="network"
    )
    return ir.Model(graph, ir_version=10)


def node_of(model: ir.Model, output: str) -> ir.Node:
    """Return the node that computes a value."""
    return next(node for node in model.graph if node.outputs[0].name == output)
