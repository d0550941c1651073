"""Coverage of models quantized by ONNX Runtime's own tool, and of patterns written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime.quantization as peer
import pytest

from onnxopt import graph, quantizer
from onnxopt.costs import Costs
from onnxopt.inspection.coverage import Coverage, coverage
from onnxopt.io import load
from tests.shapes.models import parse

SHAPE = (1, 3, 8, 8)


class Feeds(peer.CalibrationDataReader):  # type: ignore[misc]
    """Two random pictures."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.feeds: Iterator[dict[str, np.ndarray]] = iter(
            [{"x": rng.random(SHAPE, np.float32)} for _ in range(2)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Return the file of Conv, Relu, Conv, GlobalAveragePool, MatMul."""
    rng = np.random.default_rng(0)
    weights = {"a": (4, 3, 3, 3), "b": (4, 4, 3, 3), "c": (4, 5)}
    tensors = [
        onnx.numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), name)
        for name, s in weights.items()
    ]
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (float[1,3,8,8] x) => (float[1,5] y) {
      p = Conv <kernel_shape = [3,3]> (x, a) q = Relu (p)
      r = Conv <kernel_shape = [3,3]> (q, b)
      s = GlobalAveragePool (r) t = Flatten (s) y = MatMul (t, c) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(tensors)
    path = tmp_path / "float.onnx"
    onnx.save(proto, path)
    return path


def of(path: Path) -> Coverage:
    return coverage(Costs.of(load(path)).rows)


def quantized(network: Path, form: peer.QuantFormat, *, per_channel: bool = False) -> Coverage:
    path = network.with_name("static.onnx")
    peer.quantize_static(
        network,
        path,
        Feeds(),
        quant_format=form,
        per_channel=per_channel,
        weight_type=peer.QuantType.QInt8,
        activation_type=peer.QuantType.QUInt8,
    )
    return of(path)


def test_nothing_is_quantized(network: Path) -> None:
    found = of(network)
    assert [(row.how, row.nodes) for row in found.schemes] == [("float", 3)]
    assert (found.quantized, found.quantizers, found.between) == ((), 0, 0)
    assert found.schemes[0].elements == 108 + 144 + 20


@pytest.mark.parametrize("per_channel", [False, True])
def test_static_qdq(network: Path, per_channel: bool) -> None:
    found = quantized(network, peer.QuantFormat.QDQ, per_channel=per_channel)
    assert {(row.how, row.form, row.activations) for row in found.schemes} == {
        ("static", "QDQ", "uint8")
    }
    assert sum(row.nodes for row in found.schemes) == 3
    assert sum(row.elements for row in found.schemes) == 108 + 144 + 20
    schemes = {str(row.weights) for row in found.schemes}
    grain = {"symmetric int8 per axis 0", "symmetric int8 per axis 1"}
    assert schemes == (grain if per_channel else {"symmetric int8 per tensor"})
    assert found.between == 2  # the pool and Flatten


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_grain_of_dynamic_products(per_channel: bool) -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([4, 8]))
    weight = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    held = graph.constant(ir.tensor(weight), "w")
    product = ir.node("MatMul", [x, held], outputs=[ir.Value(name="y")])
    home = ir.Graph(
        [x], product.outputs, nodes=[product], initializers=[held], opset_imports={"": 20}
    )
    given = ir.Model(home, ir_version=10)
    made, _ = quantizer.run(
        given,
        quantizer.Request(
            scheme=f"quantize/dynamic{{per-channel={str(per_channel).lower()}}}", measure=False
        ),
    )
    (row,) = coverage(Costs.of(made).rows).schemes
    grain = "per axis 1" if per_channel else "per tensor"
    assert (row.how, str(row.weights)) == ("dynamic", f"symmetric int8 {grain}")


def test_static_integer_operators(network: Path) -> None:
    found = quantized(network, peer.QuantFormat.QOperator)
    assert {(row.how, row.form) for row in found.schemes} == {("static", "integer operators")}
    assert {str(row.weights) for row in found.schemes} == {"symmetric int8 per tensor"}
    assert sum(row.nodes for row in found.schemes) == 3
    assert found.between == 1  # QLinearGlobalAveragePool; Flatten takes integers as they are


def test_dynamic(network: Path) -> None:
    path = network.with_name("dynamic.onnx")
    peer.quantize_dynamic(network, path, weight_type=peer.QuantType.QUInt8)
    found = of(path)
    assert {(row.how, row.form) for row in found.schemes} == {("dynamic", "integer operators")}
    assert {row.activations for row in found.schemes} == {"uint8"}
    assert {row.weights.dtype for row in found.schemes if row.weights} == {"uint8"}


def one(text: str) -> str:
    (row,) = coverage(Costs.of(parse(text)).rows).schemes
    return str(row)


def test_weights_only() -> None:
    text = """g (float[2,4] x) => (float[2,3] y) <int8[4,3] w = {1}, float[3] s = {1.0, 2.0, 3.0}>
    { d = DequantizeLinear <axis = 1> (w, s) y = MatMul (x, d) }"""
    assert one(text) == "weights only QDQ, symmetric int8 per axis 1 weights"


def test_weights_that_are_quantized_in_the_graph() -> None:
    text = """g (float[2,4] x) => (float[2,3] y)
    <float[4,3] w = {1.0}, float s = {1.0}, int8 z = {0}, uint8 u = {3}>
    { q = QuantizeLinear (x, s, u) e = DequantizeLinear (q, s, u)
      p = QuantizeLinear (w, s, z) d = DequantizeLinear (p, s, z) m = MatMul (e, d)
      o = QuantizeLinear (m, s, u) y = DequantizeLinear (o, s, u) }"""
    assert one(text) == "static QDQ, symmetric int8 per tensor weights, uint8 activations"


def test_what_nobody_knows_is_no_node_with_macs() -> None:
    header = '<ir_version: 8, opset_import: ["": 17, "far": 1]>'
    text = f"{header} g (float[2,2] x) => (float[2,2] y) {{ a = far.Away (x) y = MatMul (a, x) }}"
    (row,) = coverage(Costs.of(parse(text)).rows).schemes
    assert (row.nodes, row.how) == (1, "float")


def test_a_float_output() -> None:
    text = """g (float[2,4] x) => (float[2,3] y)
    <int8[4,3] w = {1}, float s = {1.0}, int8 z = {3}>
    { q = QuantizeLinear (x, s, z) e = DequantizeLinear (q, s, z)
      d = DequantizeLinear (w, s, z) y = MatMul (e, d) }"""
    assert one(text) == (
        "static, float output QDQ, asymmetric int8 per tensor weights, int8 activations"
    )


def test_blocks_of_few_bits() -> None:
    text = """g (float[2,32] x) => (float[2,8] y) <uint8[8,2,8] w = {1}, float[16] s = {1.0}>
    { y = com.microsoft.MatMulNBits <K = 32, N = 8, bits = 4, block_size = 16> (x, w, s) }"""
    assert one(text) == "weights only integer operators, symmetric uint4 blocks of 16 weights"


def test_two_activations() -> None:
    text = """g (float[2,4] x) => (float[2,2] y) <float s = {1.0}, uint8 z = {3}>
    { t = Transpose (x) a = QuantizeLinear (x, s, z) b = QuantizeLinear (t, s, z)
      c = DequantizeLinear (a, s, z) d = DequantizeLinear (b, s, z) m = MatMul (c, d)
      q = QuantizeLinear (m, s, z) y = DequantizeLinear (q, s, z) }"""
    assert one(text) == "static QDQ, uint8 activations"
