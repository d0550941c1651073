"""Static quantization for OpenVINO: what is placed is what its kernels compute on integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import onnxopt
from onnxopt import catalogue
from onnxopt.backends._integer import OPENVINO, openvino_of_this_machine
from onnxopt.backends.openvino import Openvino
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.quantization.coverage import Coverage, foretold, integer_operators, seen
from onnxopt.samples import Samples
from onnxopt.target import Target
from onnxopt.verify import Verify
from tests.contract.corpus.build import model, normal
from tests.quantization.test_static import FILTER, IMAGE, MODELS
from tests.quantization.tools import EXACT, LOAD, Array, read, sqnr

pytestmark = pytest.mark.skipif(
    Openvino.unavailable() is not None, reason=str(Openvino.unavailable())
)

KERNELS = openvino_of_this_machine()
TARGET = Target(name="openvino", pipeline="dce", probe_max_opset=lambda: 24, integer=KERNELS)

BLOCKS = """
g (float[1,8,12,12] x) => (float[1,8,12,12] y) {
  a = Conv <pads = [1,1,1,1]> (x, w, b)
  r = Relu(a)
  c = Conv(r, v)
  d = Conv(x, u)
  s = Add(d, c)
  t = Relu(s)
  e = Conv <pads = [1,1,1,1]> (t, w, b)
  f = Add(t, e)
  y = Conv(f, v)
}"""
ACTIVATED = """
g (float[1,8,12,12] x) => (float[1,8,12,12] y) {
  a = Conv <pads = [1,1,1,1]> (x, w, b)
  f = %s (a)
  y = Conv(f, v)
}"""
GATED = """
g (float[1,8,12,12] x) => (float[1,8,12,12] y) {
  a = Conv <pads = [1,1,1,1]> (x, w, b)
  s = Sigmoid(a)
  f = Mul(a, s)
  y = Conv(f, v)
}"""
ENCODER = """
g (float[1,n,16] x) => (float[1,n,16] y) {
  m = MatMul(x, w)
  a = Add(b, m)
  g = Gelu(a)
  k = MatMul(g, v)
  s = Add(k, x)
  l = LayerNormalization(s, c)
  y = MatMul(l, u)
}"""


def quantized(made: ir.Model, feeds: list[dict[str, Array]]) -> int:
    context = Context(target=TARGET, load=LOAD, samples=Samples.of(feeds))
    Pipeline.parse("quantize/calibrate").run(made, context)
    return Pipeline.parse("quantize/static").run(made, context, [Verify()])


def ran(made: ir.Model, feeds: dict[str, Array]) -> list[tuple[str, str]]:
    """Return names and kernels of what OpenVINO runs."""
    with Openvino(threads=1, record=True).open(made) as session:
        session.run(feeds)
        nodes = [node for run in session.recorded() for node in run.nodes]
    return [(node.node, f"{node.op_type} {node.provider}") for node in nodes]


def coverage(made: ir.Model, feeds: dict[str, Array]) -> tuple[Coverage, Coverage]:
    expected = foretold(made, OPENVINO)
    return expected, seen(expected, ran(made, feeds), integer_operators(OPENVINO))


def convolutions(text: str) -> ir.Model:
    return read(text, {**FILTER, "u": normal(8, 8, 1, 1, seed=2) / 3})


CASES = [name for name in MODELS if name not in ("head", "mlp")]
"""A static row of products becomes one operator of OpenVINO's, which does not tell its types."""


@pytest.mark.parametrize("name", CASES)
def test_foretold_layers_are_those_that_ran_on_integers(name: str) -> None:
    text, weights, feeds, layers = MODELS[name]
    made = read(text, weights)
    assert quantized(made, feeds) == layers
    expected, found = coverage(made, feeds[0])
    assert len(expected.integer) == layers
    assert found == expected


@pytest.mark.parametrize("name", CASES)
def test_error_is_what_the_steps_explain(name: str) -> None:
    text, weights, feeds, _ = MODELS[name]
    made = read(text, weights)
    before = [EXACT(made, each) for each in feeds]
    quantized(made, feeds)
    with Openvino(threads=1).open(made) as session:
        after = [session.run(each) for each in feeds]
    assert min(map(sqnr, before, after)) > 30


@pytest.mark.parametrize("channels", [3, 8])
def test_no_sum_saturates_whatever_the_processor(channels: int) -> None:
    text = f"""
    g (float[1,{channels},9,9] x) => (float[1,16,7,7] y) {{
      y = Conv(x, w)
    }}"""
    weight = np.sign(normal(16, channels, 3, 3)) * (
        1 + 0.2 * np.abs(normal(16, channels, 3, 3, seed=1))
    )
    made = read(text, {"w": weight.astype(np.float32)})
    feeds = [{"x": np.abs(normal(1, channels, 9, 9, seed=seed)) + 3} for seed in range(2)]
    assert quantized(made, feeds) == 1
    with Openvino(threads=1).open(made) as session:
        assert sqnr(EXACT(made, feeds[0]), session.run(feeds[0])) > 100


@pytest.mark.parametrize(
    "operator",
    ["Relu", "Elu", "Gelu", "HardSwish", "LeakyRelu", "Mish", "Sigmoid", "Tanh"],
)
def test_activations_go_up_in_the_convolution(operator: str) -> None:
    made = convolutions(ACTIVATED % operator)
    assert quantized(made, IMAGE) == 2
    assert _between(ran(made, IMAGE[0])) == ["Convolution", "Convolution"]
    readers = {use.node.op_type for node in made.graph for use in node.outputs[0].uses()}
    assert operator in readers


def test_a_gate_goes_up_in_the_convolution() -> None:
    made = convolutions(GATED)
    assert quantized(made, IMAGE) == 2
    assert _between(ran(made, IMAGE[0])) == ["Convolution", "Convolution"]
    assert [node.op_type for node in made.graph].count("QuantizeLinear") == 2


def _between(nodes: list[tuple[str, str]]) -> list[str]:
    """Return the operators from the first convolution to the last."""
    operators = [kernel.partition(" ")[0] for _, kernel in nodes]
    found = [at for at, operator in enumerate(operators) if operator == "Convolution"]
    return operators[found[0] : found[-1] + 1]


def test_a_sum_reads_the_later_product_before_it_is_rounded() -> None:
    made = convolutions(BLOCKS)
    before = EXACT(made, IMAGE[0])
    assert quantized(made, IMAGE) == 5
    expected, found = coverage(made, IMAGE[0])
    assert found == expected
    sums = [node for node in made.graph if node.op_type == "Add"]
    makers = [[_maker(value) for value in node.inputs] for node in sums]
    assert makers == [["Conv", "DequantizeLinear"], ["DequantizeLinear", "Conv"]]
    assert sqnr(before, EXACT(made, IMAGE[0])) > 30


def test_transformers_keep_the_residual_in_float() -> None:
    weights = {
        "w": normal(16, 32) / 4,
        "b": normal(32),
        "v": normal(32, 16, seed=1) / 5,
        "c": normal(16, seed=2),
        "u": normal(16, 16, seed=3) / 4,
    }
    feeds = [{"x": normal(1, 6, 16, seed=seed)} for seed in range(4)]
    made = read(ENCODER, weights)
    assert quantized(made, feeds) == 3
    expected, found = coverage(made, feeds[0])
    assert found == expected
    assert not expected.floating
    residual = next(n for n in made.graph if n.op_type == "Add" and _maker(n.inputs[0]) == "MatMul")
    assert [_maker(value) for value in residual.inputs] == ["MatMul", ""]


def _maker(value: ir.Value | None) -> str:
    producer = None if value is None else value.producer()
    return "" if producer is None else producer.op_type


def test_quantize_confirms_what_ran_and_tries_half_precision() -> None:
    made = model(BLOCKS, {**FILTER, "u": normal(8, 8, 1, 1, seed=2) / 3})
    images = Samples.of([{"x": normal(1, 8, 12, 12, seed=seed)} for seed in range(8)])
    _, report = onnxopt.quantize_with_report(made, samples=images, target="openvino", measure=False)
    rows = {row.scheme: row for row in report.tried}
    assert (rows["int8"].layers, rows["int8"].integer_share) == (5, 1.0)
    assert rows["int8"].confirmed
    assert report.chosen == "int8"
    halves = Openvino().faster()
    assert set(rows) >= {*halves, *(f"int8, {name}" for name in halves)}
    for name, backend in halves.items():
        row = rows[name]
        assert row.runs_with == f"openvino{{precision={name}}}"
        assert catalogue.backend(row.runs_with) == backend
        assert row.least_db is not None
        assert row.sqnr_db is not None
        assert row.sqnr_db > row.least_db
        assert not np.isinf(row.sqnr_db)


def test_biases_stay_in_float() -> None:
    made = convolutions(ACTIVATED % "Relu")
    quantized(made, IMAGE)
    kinds = {v.dtype for v in made.graph.initializers.values()}
    assert ir.DataType.INT32 not in kinds
    held = made.graph.initializers["b"].const_value
    assert held is not None
    np.testing.assert_array_equal(held.numpy(), FILTER["b"])
