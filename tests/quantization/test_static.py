"""Static quantization: what becomes integer, what stays, and that the runtime agrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue, graph, io
from onnxopt.backends._integer import ARM
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.quantization import ranges
from onnxopt.quantization.coverage import foretold
from onnxopt.samples import Samples
from onnxopt.target import Target
from onnxopt.verify import Verify
from tests.contract.corpus.build import ints, model, normal, scalar
from tests.quantization.tools import (
    EXACT,
    LOAD,
    TARGET,
    Array,
    coverage,
    quantized,
    ran,
    read,
    sqnr,
)

IMAGE = [{"x": normal(1, 8, 12, 12, seed=seed)} for seed in range(4)]
ROWS = [{"x": normal(6, 16, seed=seed)} for seed in range(4)]
FILTER = {"w": normal(8, 8, 3, 3) / 9, "v": normal(8, 8, 1, 1, seed=1) / 3, "b": normal(8)}
MATRICES = {
    "w": normal(16, 32) / 4,
    "b": normal(32),
    "v": normal(32, 4, seed=1) / 5,
    "c": normal(4),
}

CHAIN = """
g (float[1,8,12,12] x) => (float[1,8,12,12] y) {
  a = Conv <pads = [1,1,1,1]> (x, w, b)
  r = Relu(a)
  y = Conv(r, v)
}"""
RESIDUAL = """
g (float[1,8,12,12] x) => (float[1,8,12,12] y) {
  a = Conv <pads = [1,1,1,1]> (x, w, b)
  r = Relu(a)
  c = Conv(r, v)
  s = Add(c, r)
  t = Relu(s)
  y = Conv(t, v)
}"""
POOLED = """
g (float[1,8,12,12] x) => (float[1,8,1,1] y) {
  a = Conv <pads = [1,1,1,1]> (x, w, b)
  r = Clip(a, zero, six)
  p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (r)
  q = Conv(p, v)
  s = Sigmoid(q)
  m = Mul(q, s)
  j = Concat <axis = 1> (m, p)
  k = Conv(j, u)
  y = GlobalAveragePool(k)
}"""
SHORTCUT = """
g (float[1,8,12,12] x) => (float[1,16,6,6] y) {
  a = Conv <pads = [1,1,1,1]> (x, w, b)
  r = Relu(a)
  s = Slice(r, from, to, axes, steps)
  p = Pad(s, pads)
  c = Conv <strides = [2,2], pads = [1,1,1,1]> (r, d)
  t = Add(c, p)
  u = Relu(t)
  y = Conv(u, e)
}"""
DEPTHWISE = """
g (float[1,8,12,12] x) => (float[1,8,12,12] y) {
  a = Tanh(x)
  d = Conv <group = 8, pads = [1,1,1,1]> (a, k)
  y = Tanh(d)
}"""
MLP = """
g (float[6,16] x) => (float[6,4] y) {
  a = Gemm(x, w, b)
  r = Relu(a)
  y = Gemm(r, v, c)
}"""
HEAD = """
g (float[6,16] x) => (float[6,4] y) {
  a = Gemm(x, w, b)
  r = Relu(a)
  s = Softmax(r)
  t = Gemm(s, v, c)
  l = Tanh(t)
  y = Softmax(l)
}"""
SEQUENCE = """
g (float[1,n,16] x) => (float[1,n,4] y) {
  m = MatMul(x, w)
  a = Add(b, m)
  g = Gelu(a)
  k = MatMul(g, v)
  s = Softmax(k)
  y = Add(s, k)
}"""

BARE = """
g (float[1,6,16] x) => (float[1,6,4] y) {
  a = MatMul(x, w)
  h = Add(a, b)
  p = MatMul(h, v)
  y = Add(p, c)
}"""

MODELS: dict[str, tuple[str, dict[str, Array], list[dict[str, Array]], int]] = {
    "chain": (CHAIN, FILTER, IMAGE, 2),
    "residual": (RESIDUAL, FILTER, IMAGE, 3),
    "pooled": (
        POOLED,
        {**FILTER, "zero": scalar(0), "six": scalar(6), "u": normal(8, 16, 1, 1) / 4},
        IMAGE,
        3,
    ),
    "shortcut": (
        SHORTCUT,
        {
            **FILTER,
            **{"from": ints(0, 0), "to": ints(12, 12), "axes": ints(2, 3), "steps": ints(2, 2)},
            "pads": ints(0, 4, 0, 0, 0, 4, 0, 0),
            "d": normal(16, 8, 3, 3) / 8,
            "e": normal(16, 16, 1, 1) / 4,
        },
        IMAGE,
        3,
    ),
    "head": (HEAD, MATRICES, ROWS, 2),
    "mlp": (MLP, MATRICES, ROWS, 2),
    "sequence": (SEQUENCE, MATRICES, [{"x": feeds["x"][None]} for feeds in ROWS], 2),
    "bare": (BARE, MATRICES, [{"x": feeds["x"][None]} for feeds in ROWS], 2),
}


def example(name: str) -> ir.Model:
    text, weights, _, _ = MODELS[name]
    return read(text, weights)


@pytest.mark.parametrize("name", MODELS)
def test_foretold_layers_are_those_that_ran_on_integers(name: str, tmp_path: Path) -> None:
    *_, feeds, layers = MODELS[name]
    made = example(name)
    assert quantized(made, feeds) == layers
    expected, found = coverage(made, tmp_path)
    assert len(expected.integer) == layers
    assert not expected.floating
    assert found == expected


@pytest.mark.parametrize("name", MODELS)
def test_error_is_what_the_steps_explain(name: str) -> None:
    *_, feeds, _ = MODELS[name]
    made = example(name)
    before = [EXACT(made, each) for each in feeds]
    quantized(made, feeds)
    assert min(sqnr(a, EXACT(made, each)) for a, each in zip(before, feeds, strict=True)) > 30


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"head", "sequence"}))
def test_nothing_between_integers_is_in_float(name: str, tmp_path: Path) -> None:
    *_, feeds, _ = MODELS[name]
    made = example(name)
    quantized(made, feeds)
    operators = [operator for _, operator in ran(made, tmp_path)]
    floats = {"Relu", "Clip", "Add", "Mul", "Sigmoid", "Concat", "Conv", "Gemm"}
    assert floats.isdisjoint(operators)
    assert operators.count("DequantizeLinear") <= 1


def test_transformers_keep_everything_but_products_in_float(tmp_path: Path) -> None:
    made = example("sequence")
    quantized(made, MODELS["sequence"][2])
    operators = [operator for _, operator in ran(made, tmp_path)]
    assert operators.count("MatMulIntegerToFloat") == 2
    assert "DequantizeLinear" not in operators
    assert {"Gelu", "Softmax", "Add"} <= set(operators)


def test_lone_depthwise_convolution_stays(tmp_path: Path) -> None:
    made = read(DEPTHWISE, {"k": normal(8, 1, 3, 3)})
    assert quantized(made, IMAGE) == 0
    assert [node.op_type for node in made.graph] == ["Tanh", "Conv", "Tanh"]


@pytest.mark.parametrize(
    ("options", "layers"),
    [("skip=[y]", 1), ("only=[Conv], skip=[a]", 1), ("only=[nothing]", 0), ("skip=[Conv]", 0)],
)
def test_patterns_choose(options: str, layers: int, tmp_path: Path) -> None:
    made = example("chain")
    assert quantized(made, IMAGE, f"quantize/static{{{options}}}") == layers
    expected, found = coverage(made, tmp_path)
    assert len(expected.integer) == layers
    assert found == expected


def test_without_ranges_nothing_is_done() -> None:
    made = example("chain")
    assert Pipeline.parse("quantize/static").run(made, Context(target=TARGET)) == 0


def test_a_second_run_finds_nothing() -> None:
    made = example("residual")
    quantized(made, IMAGE)
    assert Pipeline.parse("quantize/static").run(made, Context(target=TARGET)) == 0


def test_interface_stays() -> None:
    made = example("chain")
    quantized(made, IMAGE)
    assert [value.name for value in made.graph.outputs] == ["y"]
    assert made.graph.outputs[0].dtype == ir.DataType.FLOAT


def test_bias_beyond_32_bits_coarsens_the_weights_of_its_channel() -> None:
    weights: dict[str, Array] = {**MATRICES}
    weights["w"] = weights["w"].copy()
    weights["w"][:, 3] *= 1e-12
    made = read(MLP, weights)
    before = EXACT(made, ROWS[0])
    quantized(made, ROWS)
    assert sqnr(before, EXACT(made, ROWS[0])) > 30


@pytest.mark.parametrize("target", ["cpu", "generic"])
def test_target_decides(target: str) -> None:
    made = example("chain")
    kernels = catalogue.find_backend("cpu").target() if target == "cpu" else Context().target
    assert Pipeline.parse("quantize/static").run(made, Context(target=kernels)) == 0


@pytest.mark.parametrize("name", MODELS)
def test_arm_multiplies_signed_by_signed(name: str) -> None:
    text, weights, feeds, layers = MODELS[name]
    made = read(text, weights)
    before = [EXACT(made, each) for each in feeds]
    target = Target(name="cpu", pipeline="dce", probe_max_opset=lambda: 25, integer=ARM)
    context = Context(target=target, load=LOAD, samples=Samples.of(feeds))
    pipeline = Pipeline.parse("quantize/calibrate, quantize/static")
    pipeline.run(made, context, [Verify()])
    quantizers = [node for node in made.graph if node.op_type == "QuantizeLinear"]
    zeros = [graph.array(node.inputs[2]) for node in quantizers]
    assert len(foretold(made, ARM).integer) == layers
    assert {zero.dtype for zero in zeros if zero is not None} == {np.dtype(np.int8)}
    assert min(sqnr(a, EXACT(made, each)) for a, each in zip(before, feeds, strict=True)) > 30


def test_seven_bits_where_eight_overflow() -> None:
    made = example("mlp")
    quantized(made, ROWS, "quantize/static{weight-bits=7}")
    held = [v.const_value for v in made.graph.initializers.values() if v.dtype == ir.DataType.INT8]
    largest = [int(np.abs(t.numpy()).max()) for t in held if t is not None and t.size > 32]
    assert largest == [63, 63]


@pytest.mark.parametrize("name", MODELS)
def test_only_what_placement_reads_is_calibrated(name: str) -> None:
    *_, feeds, layers = MODELS[name]
    some, every = example(name), example(name)
    assert quantized(some, feeds) == layers
    values = [v.name for node in every.graph for v in (*every.graph.inputs, *node.outputs)]
    everything = f"quantize/calibrate{{values={list(dict.fromkeys(values))}}}".replace("'", "")
    context = Context(target=TARGET, load=LOAD, samples=Samples.of(feeds))
    Pipeline.parse(f"{everything}, quantize/static").run(every, context)
    assert ir.to_proto(some).graph.initializer == ir.to_proto(every).graph.initializer


def test_calibration_leaves_out_what_stays_in_float() -> None:
    made = example("sequence")
    context = Context(target=TARGET, load=LOAD, samples=Samples.of(MODELS["sequence"][2]))
    Pipeline.parse("quantize/calibrate").run(made, context)
    values = {v for node in made.graph for v in (*node.inputs, *node.outputs) if v is not None}
    assert {value.name for value in values if ranges.read(value)} == {"x", "g"}


def test_calibration_asks_for_types() -> None:
    text, weights, feeds, _ = MODELS["chain"]
    made = io.from_proto(model(text, weights))
    context = Context(target=TARGET, load=LOAD, samples=Samples.of(feeds))
    Pipeline.parse("quantize/calibrate").run(made, context)
    assert any("put infer-shapes before" in said for said in made.meta[ranges.WITHOUT])


def test_an_operator_set_without_the_type_is_left_alone() -> None:
    made = read(CHAIN, FILTER, opset=20)
    assert quantized(made, IMAGE, "quantize/static{activations=int16}") == 0
    made = read(CHAIN, FILTER, opset=21)
    assert quantized(made, IMAGE, "quantize/static{activations=int16}") == 2


def test_a_bias_with_more_axes_than_the_product_is_none() -> None:
    text = "g (float[6,16] x) => (float[1,6,32] y) { a = MatMul(x, w) y = Add(a, b) }"
    made = read(text, {"w": MATRICES["w"], "b": MATRICES["b"].reshape(1, 1, -1)})
    before = [EXACT(made, each) for each in ROWS]
    quantized(made, ROWS)
    after = [EXACT(made, each) for each in ROWS]
    assert all(a["y"].shape == (1, 6, 32) for a in after)
    assert min(map(sqnr, before, after)) > 30
