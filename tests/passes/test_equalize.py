"""Factors for each channel move between weights: the numbers stay, the ranges change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from onnxopt import catalogue, shapes
from onnxopt.base import Context, Gate
from onnxopt.pipeline import Pipeline
from onnxopt.quantization import ranges, rounding
from onnxopt.quantization.params import fit_array, rounded
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.types import UINT4
from onnxopt.samples import Samples
from tests.passes import weights
from tests.passes.tools import random_feeds, run

Array = npt.NDArray[Any]
CPU = catalogue.backend("cpu{threads=1, optimization=off}").open

CHANNELS = np.logspace(-2, 2, 6).astype(np.float32)
"""What makes the channels of a weight so different that they need factors."""

W1, B1 = weights.normal(6, 3, 3, 3) * CHANNELS[:, None, None, None], weights.normal(6) * CHANNELS
CONVS: Mapping[str, tuple[str, dict[str, Array]]] = {
    "relu": ("r = Relu (c) y = Conv (r, v)", {"v": weights.normal(4, 6, 3, 3)}),
    "nothing between": ("y = Conv (c, v)", {"v": weights.normal(4, 6, 1, 1)}),
    "depthwise, then pointwise": (
        "r = Relu (c) d = Conv <group = 6, pads = [1, 1, 1, 1]> (r, v, e)"
        " l = LeakyRelu (d) y = Conv (l, u)",
        {"v": weights.normal(6, 1, 3, 3), "e": weights.normal(6), "u": weights.normal(4, 6, 1, 1)},
    ),
    "groups": ("r = Relu (c) y = Conv <group = 2> (r, v)", {"v": weights.normal(4, 3, 3, 3)}),
    "pools and two readers": (
        "r = Relu (c) m = MaxPool <kernel_shape = [2, 2]> (r) p = Conv (m, v) q = Conv (m, u)"
        " y = Concat <axis = 1> (p, q)",
        {"v": weights.normal(2, 6, 1, 1), "u": weights.normal(3, 6, 1, 1)},
    ),
    "flattened": (
        "r = Relu (c) m = AveragePool <kernel_shape = [3, 3], strides = [3, 3]> (r)"
        " f = Flatten (m) y = Gemm <transB = 1> (f, v)",
        {"v": weights.normal(5, 24)},
    ),
    "as rows": (
        "r = Relu (c) t = Transpose <perm = [0, 2, 3, 1]> (r) f = Reshape (t, rows)"
        " y = Gemm (f, v)",
        {"v": weights.normal(6, 5), "rows": weights.ints(-1, 6)},
    ),
    "flattened, the other way": (
        "r = Relu (c) m = AveragePool <kernel_shape = [3, 3], strides = [3, 3]> (r)"
        " f = Flatten (m) y = Gemm (f, v)",
        {"v": weights.normal(24, 5)},
    ),
}
DECLINED: Mapping[str, tuple[str, dict[str, Array]]] = {
    "not homogeneous": ("r = Sigmoid (c) y = Conv (r, v)", {"v": weights.normal(4, 6, 3, 3)}),
    "cut off above": (
        "r = Clip (c, zero, six) y = Conv (r, v)",
        {
            "v": weights.normal(4, 6, 3, 3),
            "zero": weights.number(0),
            "six": weights.number(6),
        },
    ),
    "read by something else": (
        "r = Relu (c) p = Conv (r, v) y = Add (p, c)",
        {"v": weights.normal(6, 6, 1, 1)},
    ),
    "a weight that is read twice": (
        "r = Relu (c) p = Conv (r, v) q = Conv (p, v) y = Relu (q)",
        {"v": weights.normal(6, 6, 1, 1)},
    ),
    "mixes channels": (
        "r = Transpose <perm = [0, 2, 1, 3]> (c) y = Conv (r, v)",
        {"v": weights.normal(4, 6, 1, 1)},
    ),
}


def conv_net(body: str, more: Mapping[str, Array]) -> ir.Model:
    text = f"(float[N,3,8,8] x) => (float[N,A,B,C] y) {{ c = Conv (x, w, b) {body} }}"
    if "Gemm" in body:
        text = text.replace("A,B,C", "A")
    model = weights.model(text, {"w": W1, "b": B1, **more})
    shapes.infer(model)
    return model


def moved(model: ir.Model, pipeline: str, samples: list[dict[str, Array]] | None = None) -> int:
    """Run a pipeline; the model must stay valid and compute the same."""
    before = ir.to_proto(model)
    context = Context(load=CPU, samples=None if samples is None else Samples.of(samples))
    changes = Pipeline.parse(pipeline).run(model, context)
    after = ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    for size in (1, 2):
        feeds = random_feeds(before, size)
        wanted, found = run(before, feeds)["y"], run(after, feeds)["y"]
        scale = float(np.abs(wanted).max())
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * scale)
    return changes


def spread(extents: Array) -> float:
    return float(extents.max() / extents.min())


@pytest.mark.parametrize("name", CONVS)
def test_equalizes(name: str) -> None:
    model = conv_net(*CONVS[name])
    assert moved(model, "quantize/equalize")
    first = model.graph[0].inputs[1]
    assert first is not None
    assert first.const_value is not None
    made = np.abs(first.const_value.numpy()).max(axis=(1, 2, 3))
    assert spread(made) < spread(np.abs(W1).max(axis=(1, 2, 3))) / 50
    assert moved(model, "quantize/equalize") == 0


@pytest.mark.parametrize("name", DECLINED)
def test_leaves_alone(name: str) -> None:
    model = conv_net(*DECLINED[name])
    assert moved(model, "quantize/equalize") == 0


def test_rows_and_columns_end_with_one_range() -> None:
    model = conv_net(*CONVS["relu"])
    moved(model, "quantize/equalize")
    one, other = (model.graph[at].inputs[1] for at in (0, 2))
    assert one is not None
    assert other is not None
    assert one.const_value is not None
    assert other.const_value is not None
    made = np.abs(one.const_value.numpy()).max(axis=(1, 2, 3))
    read = np.abs(other.const_value.numpy()).max(axis=(0, 2, 3))
    np.testing.assert_allclose(made, read, rtol=0.02)


def test_ranges_that_no_longer_hold_are_forgotten() -> None:
    model = conv_net(*CONVS["relu"])
    for node in model.graph:
        ranges.write(node.outputs[0], Range(low=0.0, high=1.0))
    moved(model, "quantize/equalize")
    assert [ranges.read(node.outputs[0]) is not None for node in model.graph] == [
        False,
        False,
        True,
    ]


def test_a_closed_gate() -> None:
    model = conv_net(*CONVS["depthwise, then pointwise"])
    context = Context(gate=Gate(limit=1))
    assert Pipeline.parse("quantize/equalize").run(model, context) == 1


NORMS: Mapping[str, str] = {
    "layer norm": "n = LayerNormalization (x, g, t)",
    "layer norm without shift": "n = LayerNormalization (x, g)",
}
OUTLIERS = np.where(np.arange(16) % 5 == 0, 30.0, 1.0).astype(np.float32)


def norm_net(norm: str, body: str) -> ir.Model:
    text = f"(float[N,4,16] x) => (float[N,4,8] y) {{ {norm} {body} }}"
    given = {
        "g": OUTLIERS,
        "t": weights.normal(16),
        "m": weights.normal(16, 8),
        "k": weights.normal(16, 8),
        "b": weights.normal(8),
        "d": weights.normal(16, 16),
        "e": weights.normal(16, 16) * OUTLIERS,
    }
    model = weights.model(text, given)
    shapes.infer(model)
    return model


SAMPLES: list[dict[str, Array]] = [{"x": weights.normal(2, 4, 16) * (at + 1)} for at in range(3)]
READERS = {
    "one": "p = MatMul (n, m) y = Add (p, b)",
    "two": "p = MatMul (n, m) q = MatMul (n, k) y = Mul (p, q)",
    "gated": (
        "h = MatMul (n, d) s = Sigmoid (h) u = MatMul (n, e) r = Mul (s, u) y = MatMul (r, m)"
    ),
}


def activation_spread(model: ir.Model) -> float:
    value = model.graph[0].outputs[0]
    with Context(load=CPU).open(model, [value]) as session:
        found = [session.run(feeds)[value.name or ""] for feeds in SAMPLES]
    return spread(np.abs(np.concatenate(found)).max(axis=(0, 1)))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("readers", ["one", "two"])
def test_smooths(norm: str, readers: str) -> None:
    model = norm_net(NORMS[norm], READERS[readers])
    before = activation_spread(model)
    assert moved(model, "quantize/smooth", SAMPLES) == 1
    assert activation_spread(model) < before / 3
    assert moved(model, "quantize/smooth", SAMPLES) == 0


def test_strength_is_how_much_moves() -> None:
    model = norm_net(NORMS["layer norm"], READERS["one"])
    moved(model, "quantize/smooth{strength=1}", SAMPLES)
    assert activation_spread(model) == pytest.approx(1, abs=1e-3)


def test_a_gate_lets_the_factors_of_the_other_side_pass() -> None:
    model = norm_net(NORMS["layer norm"], READERS["gated"])
    assert moved(model, "quantize/smooth", SAMPLES) == 1
    assert moved(model, "quantize/smooth{layers=true}", SAMPLES) == 1


def test_a_residual_keeps_a_norm_as_it_is() -> None:
    model = norm_net(NORMS["layer norm"], "p = MatMul (n, d) s = Add (p, n) y = MatMul (s, m)")
    assert moved(model, "quantize/smooth", SAMPLES) == 0


@pytest.mark.parametrize("readers", ["one", "two"])
def test_awq_loses_less_when_the_weights_are_rounded(readers: str) -> None:
    plain, scaled = (norm_net(NORMS["layer norm"], READERS[readers]) for _ in range(2))
    assert moved(scaled, "quantize/awq{block=0}", SAMPLES) == 1
    wanted = [run(ir.to_proto(plain), feeds)["y"] for feeds in SAMPLES]
    losses = []
    for model in (plain, scaled):
        for value in list(model.graph.initializers.values()):
            held = value.const_value
            assert held is not None
            if held.numpy().ndim == 2:
                rows = held.numpy().T
                params = fit_array(rows, UINT4, rounding.per_row(0), symmetric=False)
                value.const_value = ir.tensor(rounded(rows, params).T.copy(), name=value.name)
        found = [run(ir.to_proto(model), feeds)["y"] for feeds in SAMPLES]
        pairs = zip(found, wanted, strict=True)
        losses.append(sum(float(((one - other) ** 2).sum()) for one, other in pairs))
    assert losses[1] < 0.5 * losses[0]
