"""AdaRound: no single rounding can be bettered, and plain rounding finds the result again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.base import Context
from onnxopt.layers import matrices, readers
from onnxopt.pipeline import Pipeline
from onnxopt.quantization import rounding
from onnxopt.quantization.params import Params, dequantize, fit_array, rounded
from onnxopt.quantization.types import (
    BINARY,
    FLOAT4E2M1,
    INT4,
    TYPES,
    UINT2,
    UINT4,
    QuantType,
)
from onnxopt.samples import Samples
from tests.passes import weights
from tests.passes.test_gptq import CPU, loss, net, params_of, problem
from tests.passes.tools import run

KINDS = [(UINT4, 0), (UINT4, 8), (UINT2, 8), (BINARY, 0), (FLOAT4E2M1, 8)]


def damped(x: np.ndarray) -> np.ndarray:
    gram = x.T @ x
    return np.asarray(gram + 0.01 * np.diag(gram).mean() * np.eye(len(gram)))


def cost(weight: np.ndarray, integers: np.ndarray, params: Params, gram: np.ndarray) -> np.ndarray:
    error = dequantize(integers, params).astype(np.float64) - weight
    return np.asarray(np.einsum("ri,ij,rj->r", error, gram, error))


def allowed(kind: QuantType) -> Sequence[float]:
    """Return what a type holds."""
    if kind.floating:
        return [sign * size for sign in (-1, 1) for size in (0, 0.5, 1, 1.5, 2, 3, 4, 6)]
    return (-1, 1) if kind is BINARY else range(kind.qmin, kind.qmax + 1)


@pytest.mark.parametrize(("kind", "block"), KINDS)
def test_no_single_change_improves(kind: QuantType, block: int) -> None:
    weight, x = problem(4)
    params = params_of(weight, kind, block, symmetric=False)
    found, params = rounding.reconstruct(weight, x.T @ x, params, symmetric=False, sweeps=100)
    pins = rounding.pinned(weight, params, symmetric=False)
    base = cost(weight, found, params, damped(x))
    for column, integer in itertools.product(range(weight.shape[1]), allowed(kind)):
        other = found.copy()
        other[:, column] = integer
        better = cost(weight, other, params, damped(x)) < base * (1 - 1e-6)
        assert not (better & (pins[:, column] == 0)).any()


@pytest.mark.parametrize(("kind", "block"), KINDS)
def test_loses_less_than_the_recursion(kind: QuantType, block: int) -> None:
    shares = []
    for seed in range(5):
        weight, x = problem(seed)
        params = params_of(weight, kind, block, symmetric=False)
        first = rounding.gptq(weight, x.T @ x, params, symmetric=False)
        found, fitted = rounding.reconstruct(weight, x.T @ x, params, symmetric=False)
        whole = cost(weight, first, params, damped(x))
        assert (cost(weight, found, fitted, damped(x)) <= whole * (1 + 1e-9)).all()
        shares.append(
            loss(weight, dequantize(found, fitted), x) / loss(weight, dequantize(first, params), x)
        )
    assert np.mean(shares) < 0.97


def test_finds_the_best_of_all_where_they_can_be_tried() -> None:
    """Of 4^5 roundings of a row, descent finds one at most a tenth worse than the best."""
    shares = []
    for seed in range(20):
        weight, x = problem(seed, rows=1, columns=7)
        params = params_of(weight, UINT2, 0, symmetric=False)
        pins = rounding.pinned(weight, params, symmetric=False)[0]
        free = np.flatnonzero(pins == 0)
        found, _ = rounding.reconstruct(weight, x.T @ x, params, symmetric=False)
        every = np.repeat(found, 4 ** len(free), axis=0)
        every[:, free] = list(itertools.product(range(4), repeat=len(free)))
        least = cost(weight, every, params, damped(x)).min()
        shares.append(float(cost(weight, found, params, damped(x))[0]) / least)
    assert min(shares) > 1 - 1e-9
    assert np.median(shares) < 1.1


def test_binary_scales_are_those_of_least_squares() -> None:
    weight, x = problem(6)
    params = params_of(weight, BINARY, 0, symmetric=True)
    signs, fitted = rounding.reconstruct(weight, x.T @ x, params, symmetric=True, sweeps=100)
    root = np.linalg.cholesky(damped(x))
    for row, sign, scale in zip(weight, signs, fitted.scale, strict=True):
        [best], *_ = np.linalg.lstsq((sign @ root)[:, None], row @ root, rcond=None)
        assert scale == pytest.approx(best, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), block=st.sampled_from([0, 3, 8]), symmetric=st.booleans())
def test_plain_rounding_finds_the_result_again(seed: int, block: int, symmetric: bool) -> None:
    weight, x = problem(seed)
    params = params_of(weight, INT4, block, symmetric=symmetric)
    found = dequantize(*rounding.reconstruct(weight, x.T @ x, params, symmetric=symmetric))
    again = fit_array(found, INT4, rounding.per_row(block), symmetric=symmetric)
    np.testing.assert_allclose(rounded(found, again), found, rtol=1e-6, atol=1e-6)


def test_many_columns_are_taken_in_panels() -> None:
    weight, x = problem(5, rows=3, columns=300)
    params = params_of(weight, UINT4, 32, symmetric=False)
    gram = x.T @ x
    first = rounding.gptq(weight, gram, params, symmetric=False)
    found, _ = rounding.reconstruct(weight, gram, params, symmetric=False)
    before = cost(weight, first, params, damped(x))
    assert (cost(weight, found, params, damped(x)) < before).all()


@pytest.mark.parametrize("form", ["type=uint4, block=8", "type=int8, block=0, symmetric=true"])
def test_every_layer_is_rounded_to_what_the_type_holds(form: str) -> None:
    samples = [{"x": weights.normal(2, 3, 8, 8) * (1 + at)} for at in range(4)]
    model = net()
    before = run(ir.to_proto(model), samples[0])["y"]
    context = Context(load=CPU, samples=Samples.of(samples))
    assert Pipeline.parse(f"quantize/adaround{{{form}}}").run(model, context) == 3
    kind, symmetric = TYPES["uint4" if "uint4" in form else "int8"], "symmetric" in form
    for node in model.graph:
        layer = readers.read(node)
        if layer is not None:
            block = 0 if node.op_type == "Conv" or "block=0" in form else 8
            for rows in matrices.matrix(layer):
                params = fit_array(rows, kind, rounding.per_row(block), symmetric=symmetric)
                np.testing.assert_allclose(rounded(rows, params), rows, rtol=1e-5, atol=1e-6)
    after = run(ir.to_proto(model), samples[0])["y"]
    assert not np.array_equal(before, after)
