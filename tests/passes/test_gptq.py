"""GPTQ: the rounding is that of the published recursion, and plain rounding finds it again."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt import catalogue, shapes
from onnxopt.base import Context
from onnxopt.layers import matrices, readers
from onnxopt.pipeline import Pipeline
from onnxopt.quantization import rounding
from onnxopt.quantization.params import Params, dequantize, fit_array, quantize, rounded
from onnxopt.quantization.types import INT4, TYPES, UINT2, UINT4, QuantType
from onnxopt.samples import Samples
from tests.passes import weights
from tests.passes.tools import run

CPU = catalogue.backend("cpu{threads=1}").open


def problem(seed: int, rows: int = 6, columns: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Return a weight and inputs that are correlated, some far larger than others."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(columns, columns)) * random.lognormal(0, 1, columns)
    weight = random.normal(size=(rows, columns)).astype(np.float32)
    return weight, random.normal(size=(200, columns)) @ mixed


def params_of(weight: np.ndarray, kind: QuantType, block: int, *, symmetric: bool) -> Params:
    ones = np.ones(weight.shape[1])
    return rounding.least_error(weight, kind, block, symmetric=symmetric, importance=ones)


def loss(weight: np.ndarray, other: np.ndarray, x: np.ndarray) -> float:
    return float((((weight - other) @ x.T) ** 2).sum())


def by_definition(weight: np.ndarray, gram: np.ndarray, params: Params) -> np.ndarray:
    """Fix one column after the other and solve anew for those that are left."""
    order = list(np.argsort(-np.diag(gram), kind="stable"))
    gram = gram + 0.01 * np.diag(gram).mean() * np.eye(len(gram))
    pins = rounding.pinned(weight, params, symmetric=False)
    left = weight.astype(np.float64).copy()
    kind = params.type
    for at, column in enumerate(order):
        integers = quantize(left.astype(np.float32), params)[:, column]
        integers = np.where(pins[:, column] > 0, kind.qmax, integers)
        integers = np.where(pins[:, column] < 0, kind.qmin, integers)
        whole = np.zeros(weight.shape, np.int32)
        whole[:, column] = integers
        lost = left[:, column] - dequantize(whole, params)[:, column]
        left[:, column] -= lost
        rest = order[at + 1 :]
        if rest:
            inner = gram[np.ix_(rest, rest)]
            left[:, rest] += np.outer(lost, np.linalg.solve(inner, gram[rest, column]))
    return left


@pytest.mark.parametrize(("kind", "block"), [(UINT4, 0), (UINT4, 8), (UINT2, 24)])
def test_rounds_as_the_recursion_says(kind: QuantType, block: int) -> None:
    weight, x = problem(3)
    params = params_of(weight, kind, block, symmetric=False)
    found = dequantize(rounding.gptq(weight, x.T @ x, params, symmetric=False), params)
    np.testing.assert_allclose(found, by_definition(weight, x.T @ x, params), atol=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("block", [0, 8])
def test_loses_less_than_plain_rounding(block: int, symmetric: bool) -> None:
    shares = []
    for seed in range(5):
        weight, x = problem(seed)
        params = params_of(weight, INT4, block, symmetric=symmetric)
        found = dequantize(rounding.gptq(weight, x.T @ x, params, symmetric=symmetric), params)
        shares.append(loss(weight, found, x) / loss(weight, rounded(weight, params), x))
    assert max(shares) < 0.9
    assert np.mean(shares) < 0.6


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([kind for kind in TYPES.values() if 1 < kind.bits < 16]),
    st.sampled_from([0, 5, 8]),
    st.booleans(),
)
def test_plain_rounding_finds_the_integers_again(
    seed: int, kind: QuantType, block: int, symmetric: bool
) -> None:
    weight, x = problem(seed, rows=3)
    params = params_of(weight, kind, block, symmetric=symmetric)
    integers = rounding.gptq(weight, x.T @ x, params, symmetric=symmetric)
    found = dequantize(integers, params)
    again = fit_array(found, params.type, params.granularity, symmetric=symmetric)
    np.testing.assert_allclose(again.scale, params.scale, rtol=1e-6)
    np.testing.assert_array_equal(quantize(found, again), integers)


def test_clipping_never_loses_by_its_measure() -> None:
    weight, _ = problem(1)
    importance = np.linspace(1, 10, weight.shape[1])
    clipped = params_of(weight, UINT4, 8, symmetric=False)
    found = rounding.least_error(weight, UINT4, 8, symmetric=False, importance=importance)
    plain = fit_array(weight, UINT4, rounding.per_row(8), symmetric=False)

    def error(params: Params) -> float:
        return float((importance * (rounded(weight, params) - weight) ** 2).sum())

    assert error(found) <= error(plain)
    assert error(found) <= error(clipped)


CONVS = {
    "plain": ("", (5, 3, 3, 3)),
    "strided": ("<strides = [2, 1], pads = [1, 0, 2, 1]>", (5, 3, 3, 3)),
    "dilated": ("<dilations = [2, 1]>", (5, 3, 2, 3)),
    "grouped": ("<group = 3, pads = [1, 1, 1, 1]>", (6, 1, 3, 3)),
    "upper": ('<auto_pad = "SAME_UPPER", strides = [2, 2]>', (5, 3, 3, 2)),
    "lower": ('<auto_pad = "SAME_LOWER">', (5, 3, 2, 4)),
    "valid": ('<auto_pad = "VALID">', (5, 3, 3, 3)),
}


@pytest.mark.parametrize("name", CONVS)
def test_a_convolution_is_a_product_with_its_columns(name: str) -> None:
    attributes, shape = CONVS[name]
    text = f"(float[2,3,9,7] x) => (float[N,C,H,W] y) {{ y = Conv {attributes} (x, w) }}"
    model = weights.model(text, {"w": weights.normal(*shape)})
    x = weights.normal(2, 3, 9, 7)
    wanted = run(ir.to_proto(model), {"x": x})["y"]
    layer = readers.read(model.graph[0])
    assert layer is not None
    columns = matrices.columns(layer, x, np.random.default_rng(0))
    product = matrices.matrix(layer) @ columns.transpose(0, 2, 1)
    found = product.reshape(shape[0], 2, *wanted.shape[2:]).swapaxes(0, 1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


NET = """
(float[N,3,8,8] x) => (float[N,5] y) {
  c = Conv <pads = [1, 1, 1, 1]> (x, w)
  r = Relu (c)
  g = GlobalAveragePool (r)
  f = Flatten (g)
  h = Gemm <transB = 1> (f, m, b)
  k = Relu (h)
  y = MatMul (k, n)
}
"""


def net() -> ir.Model:
    model = weights.model(
        NET,
        {
            "w": weights.normal(16, 3, 3, 3),
            "m": weights.normal(32, 16),
            "b": weights.normal(32),
            "n": weights.normal(32, 5),
        },
    )
    shapes.infer(model)
    return model


def test_every_layer_is_rounded_to_what_the_type_holds() -> None:
    samples = [{"x": weights.normal(2, 3, 8, 8) * (1 + at)} for at in range(4)]
    model = net()
    before = run(ir.to_proto(model), samples[0])["y"]
    context = Context(load=CPU, samples=Samples.of(samples))
    assert Pipeline.parse("quantize/gptq{type=int8, block=8, symmetric=true}").run(model, context)
    for node in model.graph:
        layer = readers.read(node)
        if layer is not None:
            for rows in matrices.matrix(layer):
                block = 0 if node.op_type == "Conv" else 8
                params = fit_array(rows, TYPES["int8"], rounding.per_row(block), symmetric=True)
                np.testing.assert_allclose(rounded(rows, params), rows, rtol=1e-6)
    after = run(ir.to_proto(model), samples[0])["y"]
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, before, rtol=0.05, atol=0.05 * float(np.abs(before).max()))
