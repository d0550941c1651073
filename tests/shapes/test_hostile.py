"""Models that break the rules: a stop with a reason, never an exception."""

from __future__ import annotations

import random

import onnx_ir as ir
import pytest

from onnxopt import shapes
from onnxopt.shapes.table import TABLE
from tests.shapes.models import parse

ATTRIBUTES = [
    ir.AttrInt64("axis", 7),
    ir.AttrInt64("axis", -1),
    ir.AttrInt64s("axes", [5, -9]),
    ir.AttrInt64s("perm", [0, 0]),
    ir.AttrInt64s("pads", [1, -9, 1]),
    ir.AttrInt64s("strides", [0, 0]),
    ir.AttrInt64s("kernel_shape", [3]),
    ir.AttrInt64("blocksize", 0),
    ir.AttrInt64("num_heads", 0),
    ir.AttrInt64("to", 99),
    ir.AttrString("equation", "ij,->...k"),
    ir.AttrInt64s("split", [1, 2]),
    ir.AttrString("axis", "text"),
    ir.AttrTensor("value", ir.tensor([1, 2, 3])),
]
SHAPES: list[list[int | str | None] | None] = [
    None,
    [],
    ["n"],
    [0],
    [2, 3],
    [1, "c", None],
    [2, 3, 4, 5],
    ["n", 1, 1, 1, 9],
]
TYPES = [ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.STRING]


def random_value(chance: random.Random, number: int) -> ir.Value | None:
    kind = chance.randrange(4)
    if kind == 0:
        return None
    if kind == 1:
        items = [chance.choice([-5, -1, 0, 1, 2, 1 << 62]) for _ in range(chance.randrange(5))]
        tensor = ir.tensor(items, dtype=ir.DataType.INT64, name=f"c{number}")
        return ir.Value(name=f"c{number}", const_value=tensor)
    shape = chance.choice(SHAPES)
    return ir.Value(
        name=f"x{number}",
        shape=None if shape is None else ir.Shape(shape),
        type=ir.TensorType(chance.choice(TYPES)),
    )


@pytest.mark.parametrize("seed", range(12))
def test_no_row_raises_whatever_it_is_given(seed: int) -> None:
    chance = random.Random(seed)
    for domain, operator in sorted(TABLE):
        inputs = [random_value(chance, number) for number in range(chance.randrange(6))]
        attributes = {item.name: item for item in chance.sample(ATTRIBUTES, 3)}
        outputs = chance.randrange(1, 4)
        graph = ir.Graph([], [], nodes=[], opset_imports={"": chance.choice([7, 13, 21])})
        for item in inputs:
            if item is not None and item.const_value is not None:
                graph.register_initializer(item)
        node = ir.Node(domain, operator, inputs, attributes.values(), num_outputs=outputs)
        graph.append(node)
        shapes.infer(ir.Model(graph, ir_version=10))
        shapes.infer_node(node)
        shapes.symbolic_value(node.outputs[0])


def test_nesting_has_an_end() -> None:
    inner = ir.Graph([], [], nodes=[], name="leaf")
    for _ in range(60):
        condition = ir.Value(name="c", type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([]))
        branches = [ir.AttrGraph("then_branch", inner), ir.AttrGraph("else_branch", inner)]
        node = ir.Node("", "If", [condition], branches[:1], num_outputs=1)
        inner = ir.Graph([], node.outputs, nodes=[node], name="level")
    model = ir.Model(inner, ir_version=10)
    shapes.infer(model)


def test_numbers_that_grow_without_end_are_given_up() -> None:
    lines = "\n".join(f"t{i + 1} = Mul(t{i}, t{i})" for i in range(40))
    model = parse(f"g (float[a, b] x) => (y) {{ t0 = Shape(x) \n {lines} \n y = Identity(t40) }}")
    shapes.infer(model)
    assert shapes.symbolic_value(model.graph.outputs[0]) is None
