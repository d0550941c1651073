"""What a Concat joins has one scale, where that costs little."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue, graph
from onnxopt.profiling import executed
from tests.contract.corpus.build import normal, scalar
from tests.quantization.tools import quantized, read

IMAGE = [{"x": normal(1, 8, 6, 6, seed=seed)} for seed in range(4)]
WEIGHTS = {"w": normal(8, 8, 1, 1) / 3, "u": normal(8, 8, 1, 1, seed=1) / 3}


def scales(made: ir.Model) -> dict[str, list[float]]:
    """Return the scales that each Concat reads and writes, by its output."""
    found = {}
    for node in made.graph:
        if node.op_type == "Concat":
            read = [value.producer() for value in node.inputs if value is not None]
            write = [use.node for use in node.outputs[0].uses()]
            assert all(each is not None and each.op_type == "DequantizeLinear" for each in read)
            assert [each.op_type for each in write] == ["QuantizeLinear"]
            both = [each.inputs[1] for each in (*read, *write) if each is not None]
            found[str(node.name)] = [graph.scalar(value) or 0.0 for value in both]
    return found


def joined(times: float, between: str = "") -> list[float]:
    """Quantize two layers that are joined, the second ``times`` as large; return the scales."""
    pool = "q = MaxPool <kernel_shape = [1,1]> (s)" if between else "q = Identity(s)"
    text = f"""g (float[1,8,6,6] x) => (float[1,8,6,6] y) {{
        a = Conv(x, w) r = Relu(a) b = Conv(x, u) s = Relu(b)
        {pool if between else ""}
        [join] j = Concat <axis = 1> (r, {"q" if between else "s"})
        y = Conv(j, v) }}"""
    held = {**WEIGHTS, "v": normal(8, 16, 1, 1, seed=2), "u": WEIGHTS["u"] * times}
    made = read(text, held)
    assert quantized(made, IMAGE) == 3
    return scales(made)["join"]


@pytest.mark.parametrize("between", ["", "MaxPool"])
def test_parts_take_the_scale_of_the_whole(between: str) -> None:
    assert len(set(joined(0.8, between))) == 1


def test_a_part_that_would_lose_more_than_a_bit_keeps_its_own() -> None:
    first, second, whole = joined(0.1)
    assert first == whole
    assert second < 0.5 * whole


def test_joins_of_joins_have_one_scale() -> None:
    text = """g (float[1,8,6,6] x) => (float[1,8,6,6] y) {
        a = Conv(x, w) r = Relu(a) b = Conv(x, u) s = Relu(b)
        [one] j = Concat <axis = 1> (r, s)
        c = Conv(j, v) t = Relu(c)
        [two] k = Concat <axis = 1> (j, t)
        y = Conv(k, z) }"""
    held = {**WEIGHTS, "v": normal(8, 16, 1, 1, seed=2) / 5, "z": normal(8, 24, 1, 1, seed=3)}
    made = read(text, held)
    assert quantized(made, IMAGE) == 4
    found = scales(made)
    assert len({*found["one"], *found["two"]}) == 1


@pytest.mark.parametrize("other", ["Relu", "LeakyRelu"])
def test_what_begins_at_zero_keeps_its_scale_beside_what_does_not(other: str) -> None:
    text = f"""g (float[1,8,6,6] x) => (float[1,8,6,6] y) {{
        a = Conv(x, w) r = {other}(a) b = Conv(x, u)
        [join] j = Concat <axis = 1> (r, b)
        y = Conv(j, v) }}"""
    made = read(text, {**WEIGHTS, "v": normal(8, 16, 1, 1, seed=2)})
    assert quantized(made, IMAGE) == 3
    first, second, whole = scales(made)["join"]
    assert second == whole
    assert (first == whole) is (other == "LeakyRelu")


@pytest.mark.parametrize("high", [1.0, 100.0])
def test_what_a_clip_ends_keeps_its_scale_beside_what_goes_on(high: float) -> None:
    text = """g (float[1,8,6,6] x) => (float[1,8,6,6] y) {
        a = Conv(x, w) r = Clip(a, low, high) b = Conv(x, u) s = Relu(b)
        [join] j = Concat <axis = 1> (r, s)
        y = Conv(j, v) }"""
    held = {**WEIGHTS, "v": normal(8, 16, 1, 1, seed=2), "low": scalar(0.0), "high": scalar(high)}
    made = read(text, held)
    assert quantized(made, IMAGE) == 3
    first, _, whole = scales(made)["join"]
    assert (first == whole) is (high == 100.0)


@pytest.mark.parametrize(("steps", "joined"), [(0.2, True), (0.7, False)])
def test_a_clip_runs_in_the_integer_kernel_that_it_ends(steps: float, joined: bool) -> None:
    text = """g (float[1,8,6,6] x) => (float[1,8,6,6] y) {
        a = Conv(x, w) r = Clip(a, low, high) b = Conv(x, u) s = Relu(b)
        [join] j = Concat <axis = 1> (r, s)
        y = Conv(j, v) }"""
    reach = max(np.einsum("oi,nihw->nohw", WEIGHTS["u"][..., 0, 0], f["x"]).max() for f in IMAGE)
    held = {
        **WEIGHTS,
        "u": (WEIGHTS["u"] * (1 + steps / 255) / reach).astype(np.float32),
        "v": normal(8, 16, 1, 1, seed=2),
        "low": scalar(0.0),
        "high": scalar(1.0),
    }
    made = read(text, held)
    assert quantized(made, IMAGE) == 3
    first, _, whole = scales(made)["join"]
    assert (first == whole) is joined
    ran = [node.op_type for node in executed(made, catalogue.backend("cpu"), IMAGE[:1])]
    assert ran.count("QLinearConv") == 3


def test_halves_of_a_split_are_joined() -> None:
    text = """g (float[1,8,6,6] x) => (float[1,8,6,6] y) {
        a = Conv(x, w) r = Relu(a)
        p, q = Split <axis = 1, num_outputs = 2> (r)
        b = Conv(q, v) s = Relu(b)
        [join] j = Concat <axis = 1> (p, s)
        y = Conv(j, u) }"""
    made = read(text, {**WEIGHTS, "v": normal(4, 4, 1, 1, seed=2)})
    assert quantized(made, IMAGE) == 3
    assert len(set(scales(made)["join"])) == 1
