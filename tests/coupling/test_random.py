"""Graphs drawn at random: units that are zero leave, the outputs stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from onnxopt import graph
from onnxopt.coupling import couple
from tests.coupling.planted import assert_exact

SIDE = 4


class Drawn:
    """A graph over images ``[2, c, 4, 4]`` that grows by one operator at a time."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.values: list[tuple[str, int]] = [("x", 3)]
        self.read: set[str] = set()

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        contents = self.random.normal(1, 0.5, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(contents, name))
        return name

    def numbers(self, *contents: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(contents, np.int64), name))
        return name

    def op(self, kind: str, *inputs: str, count: int = 1, **attributes: Any) -> list[str]:
        outputs = [f"v{len(self.nodes)}_{index}" for index in range(count)]
        self.nodes.append(helper.make_node(kind, inputs, outputs, outputs[0], **attributes))
        self.read.update(inputs)
        return outputs

    def conv(self, x: str, size: int, made: int, group: int = 1, kernel: int = 3) -> str:
        w = self.weight(made, size // group, kernel, kernel)
        return self.op("Conv", x, w, self.weight(made), group=group, pads=[kernel // 2] * 4)[0]

    def add(self, name: str, size: int) -> None:
        self.values.append((name, size))

    def model(self) -> ir.Model:
        """Finish with a convolution of everything that nothing reads."""
        ends = [self.conv(x, size, 2, kernel=1) for x, size in self.values if x not in self.read]
        shape = [2, 2, SIDE, SIDE]
        outputs = [helper.make_tensor_value_info(name, 1, shape) for name in ends]
        inputs = [helper.make_tensor_value_info("x", 1, [2, 3, SIDE, SIDE])]
        home = helper.make_graph(self.nodes, "drawn", inputs, outputs, self.weights)
        opset = helper.make_opsetid("", 18)
        return ir.from_proto(helper.make_model(home, opset_imports=[opset], ir_version=8))


def step(draw: st.DrawFn, g: Drawn) -> None:
    """Add what one drawn operator makes of one or two drawn values."""
    x, size = draw(st.sampled_from(g.values))
    y, other = draw(st.sampled_from(g.values))
    match draw(st.integers(0, 11)):
        case 0 | 1:
            made = draw(st.sampled_from([4, 6, 8, 12]))
            group = draw(st.sampled_from([n for n in (1, 2, 3, 4) if made % n == size % n == 0]))
            g.add(g.conv(x, size, made, group), made)
        case 2:
            g.add(g.conv(x, size, size, size), size)
        case 3:
            norm = [g.weight(size) for _ in range(3)]
            variance = f"{norm[2]}_v"
            g.weights.append(numpy_helper.from_array(np.full(size, 2, np.float32), variance))
            g.add(g.op("BatchNormalization", x, *norm, variance)[0], size)
        case 4:
            g.add(g.op(draw(st.sampled_from(["Relu", "Sigmoid", "Tanh"])), x)[0], size)
        case 5 if size == other:
            g.add(g.op(draw(st.sampled_from(["Add", "Mul", "Sub", "Max"])), x, y)[0], size)
        case 6 if size + other <= 24:
            g.add(g.op("Concat", x, y, axis=1)[0], size + other)
        case 7 if size > 1:
            at = draw(st.integers(1, size - 1))
            one, two = g.op("Split", x, g.numbers(at, size - at), count=2, axis=1)
            g.add(one, at)
            g.add(two, size - at)
        case 8:
            start, end = sorted(draw(st.lists(st.integers(0, size), min_size=2, max_size=2)))
            if start < end:
                bounds = [g.numbers(n) for n in (start, end - size or size, 1)]
                g.add(g.op("Slice", x, *bounds)[0], end - start)
        case 9:
            order = draw(st.permutations(range(size)))
            g.add(g.op("Gather", x, g.numbers(*order), axis=1)[0], size)
        case 10:
            last = g.op("Transpose", x, perm=[0, 2, 3, 1])[0]
            product = g.op("MatMul", last, g.weight(size, 5))[0]
            g.add(g.op("Transpose", product, perm=[0, 3, 1, 2])[0], 5)
        case _:
            split(draw, g, x, size)


def split(draw: st.DrawFn, g: Drawn, x: str, size: int) -> None:
    """Split the channels in two factors, scale by one of them, shuffle or put them back."""
    factor = draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
    grid = g.op("Reshape", x, g.numbers(2, factor, size // factor, SIDE, SIDE))[0]
    if draw(st.booleans()):
        shape = (factor, 1, 1, 1) if draw(st.booleans()) else (size // factor, 1, 1)
        grid = g.op("Mul", grid, g.weight(*shape))[0]
    if draw(st.booleans()):
        grid = g.op("Transpose", grid, perm=[0, 2, 1, 3, 4])[0]
    g.add(g.op("Reshape", grid, g.numbers(2, size, SIDE, -1))[0], size)


@st.composite
def drawn(draw: st.DrawFn) -> ir.Model:
    """Draw a graph that starts with a convolution."""
    g = Drawn(draw(st.integers(0, 1000)))
    g.add(g.conv("x", 3, draw(st.sampled_from([4, 6, 12]))), 0)
    first = g.values.pop()[0]
    g.add(first, len(numpy_helper.to_array(g.weights[1])))
    for _ in range(draw(st.integers(1, 9))):
        step(draw, g)
    return g.model()


@settings(max_examples=60, deadline=None)
@given(model=drawn(), seed=st.integers(0, 100))
def test_zeros_leave(model: ir.Model, seed: int) -> None:
    feeds = {"x": np.random.default_rng(seed).normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)}
    assert_exact(model, feeds, seed)


@settings(max_examples=40, deadline=None)
@given(model=drawn())
def test_units_are_disjoint_and_cover_what_is_made(model: ir.Model) -> None:
    """No position of a tensor is in two units; every kernel's channels are in some group."""
    coupling = couple(model)
    seen: dict[tuple[str, int, str], list[int]] = {}
    for group in coupling.groups:
        for member in group.members:
            key = (
                member.value.name or "",
                member.axis,
                member.node.name or "" if member.node else "",
            )
            assert member.positions.shape[0] == group.units
            seen.setdefault(key, []).extend(member.positions.ravel().tolist())
    assert all(len(set(found)) == len(found) for found in seen.values())
    for node in model.graph:
        if node.op_type == "Conv" and graph.attr_int(node, "group", 1) == 1:
            kernel = node.inputs[1]
            assert kernel is not None
            if graph.static(kernel)[0] == 1:  # type: ignore[index]
                continue  # the only channel of a tensor cannot go
            assert len(seen[kernel.name or "", 0, node.name or ""]) == graph.static(kernel)[0]  # type: ignore[index]
