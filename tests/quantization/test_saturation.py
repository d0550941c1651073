"""Saturation at 16 bits: sums are those of the instruction, alone and through a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

import onnxopt
from onnxopt import catalogue, graph, io, lossless
from onnxopt.backends._integer import X86, X86_VNNI, of_this_machine
from onnxopt.layers import readers
from onnxopt.passes.quantize._emit import with_room
from onnxopt.quantization.pairs import WeightForm
from onnxopt.quantization.params import fit, quantize
from onnxopt.quantization.saturation import Saturating, excess
from onnxopt.quantization.types import FLOAT8E4M3, INT8, UINT8
from onnxopt.samples import Samples
from tests.contract.corpus.build import model, normal
from tests.quantization.test_static import FILTER, IMAGE, MATRICES, MLP, RESIDUAL
from tests.quantization.tools import EXACT, LOAD, Array, quantized, ran, read

OPEN = catalogue.backend(lossless.REFERENCE).open


def instruction(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Multiply as VPMADDUBSW and VPMADDWD do, one pair after the other."""
    found = np.zeros((len(x), w.shape[1]), np.int64)
    for row, column in np.ndindex(*found.shape):
        for k in range(0, x.shape[1], 2):
            pair = sum(
                int(a) * int(b)
                for a, b in zip(x[row, k : k + 2], w[k : k + 2, column], strict=True)
            )
            found[row, column] += max(-(2**15), min(2**15 - 1, pair))
    return found


@given(seed=st.integers(0, 500), k=st.integers(1, 9), loud=st.booleans())
def test_sums_are_those_of_the_instruction(seed: int, k: int, loud: bool) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(200 if loud else 0, 256, (3, k)).astype(np.uint8)
    w = random.integers(-127, 128, (k, 4)).astype(np.int8)
    exact = x.astype(np.int64) @ w.astype(np.int64)
    np.testing.assert_array_equal(exact + excess(x, w), instruction(x, w))


def test_seven_bits_never_saturate() -> None:
    x = np.full((1, 8), 255, np.uint8)
    w = np.full((8, 2), 63, np.int8) * np.array([1, -1], np.int8)
    assert not excess(x, w).any()


def loud(seed: int) -> dict[str, Array]:
    """Return rows near the upper end, and weights below that are near theirs."""
    return {"x": np.abs(normal(6, 16, seed=seed)) + 2}


LOUD = {**MATRICES, "w": np.sign(normal(16, 32)) * (1 + 0.1 * np.abs(normal(16, 32, seed=5)))}


@pytest.mark.parametrize(
    "scheme", ["quantize/static{weight-bits=8}", "quantize/dynamic{weight-bits=8}"]
)
def test_a_model_computes_what_its_products_do(scheme: str) -> None:
    weights = {**LOUD, "w": LOUD["w"].astype(np.float32)}
    made = read(MLP, weights)
    feeds = [loud(seed) for seed in range(4)]
    quantized(made, feeds, scheme)
    with Saturating(made, OPEN) as session:
        found = session.run(feeds[0])["y"]
        touched = dict(session.touched)
    exact, *_ = ReferenceEvaluator(io.to_proto(made)).run(["y"], dict(feeds[0]))
    assert not np.allclose(found, exact, rtol=1e-3)
    (first, _), *_ = touched.values()
    assert first > 0
    np.testing.assert_allclose(found, by_hand(made, feeds[0]["x"]), rtol=1e-4, atol=1e-4)


def by_hand(made: ir.Model, x: np.ndarray) -> np.ndarray:
    """Run the two products of a quantized model with the instruction, layer by layer."""
    held = {name: value.const_value for name, value in made.graph.initializers.items()}
    arrays = {name: tensor.numpy() for name, tensor in held.items() if tensor is not None}
    dynamic = any(node.op_type == "MatMulInteger" for node in made.graph)
    for weight, bias in (("w", "b"), ("v", "c")):
        integers, scale = arrays[f"{weight}_int8"], arrays[f"{weight}_scale"]
        if dynamic:
            top, low = max(float(x.max()), 0.0), min(float(x.min()), 0.0)
            step: Array = np.asarray([(top - low) / 255], np.float32)
            zero: Array = np.clip(np.rint(-low / step), 0, 255)
        else:
            reader = next(n for n in made.graph if n.op_type == "QuantizeLinear" and _is(n, weight))
            step, zero = (arrays[v.name or ""] for v in reader.inputs[1:] if v is not None)
        q = np.clip(np.rint(x / step) + zero, 0, 255).astype(np.uint8)
        sums = instruction(q, integers) - int(zero.item()) * integers.astype(np.int64).sum(axis=0)
        numbers = MATRICES[bias]
        if not dynamic:
            numbers = np.rint(numbers / (step * scale)) * step * scale
        x = (sums * step * scale + numbers).astype(np.float32)
        x = np.maximum(x, 0) if weight == "w" else x
    return x


CONVOLUTIONS = {
    "of 3 by 3": ("float[1,8,9,9] x", "pads = [1, 1, 1, 1]", (16, 8, 3, 3)),
    "of an odd number of channels": ("float[1,7,9,9] x", "", (5, 7, 1, 1)),
    "of three channels": ("float[1,3,9,9] x", "", (16, 3, 3, 3)),
    "in groups": ("float[2,4,7,6] x", "group = 2", (6, 2, 3, 3)),
    "of sequences": ("float[1,4,19] x", "", (8, 4, 3)),
    "of every channel alone": ("float[1,8,9,9] x", "group = 8", (8, 1, 3, 3)),
    "of every channel to two": ("float[1,8,9,9] x", "group = 8", (16, 1, 3, 3)),
}
"""The input, attributes and the shape of the weight; behind a convolution that changes nothing."""


def convolution(x: str, attributes: str, shape: tuple[int, ...]) -> ir.Model:
    said = f"<{attributes}>" if attributes else ""
    rank = len(shape) - 2
    channels = int(x.split(",")[1])
    weight = np.sign(normal(*shape)) * (1 + 0.2 * np.abs(normal(*shape, seed=1)))
    same = np.eye(channels).reshape(channels, channels, *[1] * rank)
    last = np.eye(4, shape[0]).reshape(4, shape[0], *[1] * rank)
    free = ",".join("abc"[:rank])
    text = f"""
    g ({x}) => (float[N,4,{free}] y) {{
      b = Conv(x, u)
      c = Conv {said} (b, w)
      y = Conv(c, v)
    }}"""
    weights = {"u": same, "w": weight, "v": last}
    return read(text, {name: array.astype(np.float32) for name, array in weights.items()})


@pytest.mark.skipif(
    of_this_machine() is not X86, reason="nothing saturates on this processor: it is no x86 or new"
)
class TestProcessor:
    """A processor that saturates computes what is foretold, and nothing saturates unless asked."""

    @pytest.mark.parametrize("which", CONVOLUTIONS)
    def test_convolutions(self, which: str, tmp_path: Path) -> None:
        for scheme in ("quantize/static{weight-bits=8}", "quantize/static"):
            made = convolution(*CONVOLUTIONS[which])
            self.check(made, scheme, loud=scheme.endswith("}") and "alone" not in which)
            assert [kind for _, kind in ran(made, tmp_path)].count("QLinearConv") == 3

    @pytest.mark.parametrize("scheme", ["static%s", "dynamic%s", "static%s, quantize/bias-inside"])
    def test_products(self, scheme: str) -> None:
        for options in ("{weight-bits=8}", ""):
            made = read(MLP, {**LOUD, "w": LOUD["w"].astype(np.float32)})
            self.check(made, f"quantize/{scheme % options}", loud=bool(options))

    @staticmethod
    def check(made: ir.Model, scheme: str, *, loud: bool) -> None:
        shape = made.graph.inputs[0].shape
        assert shape is not None
        feeds = [{"x": np.abs(normal(*shape.numpy(), seed=seed)) + 3} for seed in range(2)]
        quantized(made, feeds, scheme)
        with Saturating(made, OPEN) as session:
            found = session.run(feeds[0])["y"]
            changed = sum(count for count, _ in session.touched.values())
        with LOAD(made) as session:
            itself = session.run(feeds[0])["y"]
        assert (changed > 0) == loud
        np.testing.assert_allclose(found, itself, rtol=1e-5, atol=1e-5)


def column_pairs(shape: tuple[int, ...]) -> set[tuple[tuple[int, ...], ...]]:
    """Return what is multiplied together of a filter [channels, *places], counted by hand.

    The places one after the other, with all channels of each; and each place apart.
    """
    channels, *places = shape
    spots = [(c, *at) for at in np.ndindex(*places) for c in range(channels)]
    found = {tuple(spots[k : k + 2]) for k in range(0, len(spots), 2)}
    for at in np.ndindex(*places):
        apart = [(c, *at) for c in range(channels)]
        found |= {tuple(apart[k : k + 2]) for k in range(0, channels, 2)}
    return found


LAYERS = {
    **CONVOLUTIONS,
    "of volumes": ("float[1,3,5,5,5] x", "", (4, 3, 3, 3, 3)),
}


@given(
    seed=st.integers(0, 500),
    which=st.sampled_from([*LAYERS, "MatMul", "Gemm"]),
    per_channel=st.booleans(),
    heavy=st.booleans(),
    loud_bias=st.booleans(),
)
def test_no_pair_overflows_with_any_input(
    seed: int, which: str, *, per_channel: bool, heavy: bool, loud_bias: bool
) -> None:
    layer = layer_of(which)
    shape = readers.contents(layer.weight).shape
    weight = normal(*shape, seed=seed) ** (3 if heavy else 1)
    layer.weight.const_value = ir.tensor(weight)
    form = WeightForm.of(INT8, X86, per_channel=per_channel, portable=False)
    full = WeightForm.of(INT8, X86_VNNI, per_channel=per_channel, portable=False).params(layer)
    params = form.params(layer)
    if "alone" in which:
        assert (params.scale == full.scale).all()
        return
    if loud_bias:
        params = with_room(
            params, fit(0, 1e-4, UINT8, symmetric=False), np.full(shape[layer.axis], 100.0)
        )
    rows = quantize(weight, params).astype(int)
    rows = rows if layer.axis == 0 else rows.T
    for row in rows:
        for pair in column_pairs(row.shape):
            numbers = np.array([row[at] for at in pair])
            assert max(-numbers[numbers < 0].sum(), numbers[numbers > 0].sum()) <= 128


def layer_of(which: str) -> readers.Layer:
    if which in LAYERS:
        made = convolution(*LAYERS[which])
    else:
        product = "Gemm <transB = 1> (x, w)" if which == "Gemm" else "MatMul(x, w)"
        rows = normal(6, 9) if which == "Gemm" else normal(9, 6)
        made = read(f"g (float[5,9] x) => (float[5,6] y) {{ y = {product} }}", {"w": rows})
    found = [layer for node in made.graph if (layer := readers.read(node))]
    return next(layer for layer in found if layer.weight.name == "w")


def test_weights_without_large_neighbours_keep_all_bits() -> None:
    weight = normal(9, 6) / 10
    weight[::2] = np.sign(weight[::2])  # each beside one that is small, or of the other sign
    weight[1::2] = -np.abs(weight[1::2]) * weight[:-1:2]
    layer = layer_of("MatMul")
    layer.weight.const_value = ir.tensor(weight)
    portable, full = (
        WeightForm.of(INT8, None, per_channel=True, portable=portable).params(layer)
        for portable in (True, False)
    )
    np.testing.assert_array_equal(portable.scale, full.scale)


def test_asked_for_bits_are_kept_where_they_overflow() -> None:
    layer = layer_of("MatMul")
    layer.weight.const_value = ir.tensor(np.ones((9, 6), np.float32))
    forms = [
        WeightForm.of(INT8, X86, per_channel=True, portable=False),
        WeightForm.of(INT8, X86, bits=8, per_channel=True, portable=False),
        WeightForm.of(INT8, X86_VNNI, bits=8, per_channel=True, portable=True),
        WeightForm.of(UINT8, X86, per_channel=True, portable=True),
        WeightForm.of(FLOAT8E4M3, X86, per_channel=True, portable=True),
    ]
    tops = [float(np.abs(quantize(np.ones((9, 6)), form.params(layer))).max()) for form in forms]
    assert tops == [64, 127, 64, 255, 448]


def _is(node: ir.Node, weight: str) -> bool:
    """Return whether a node quantizes what the product with a weight reads."""
    [use] = node.outputs[0].uses()
    readers = [each.node for each in use.node.outputs[0].uses()]
    values = [value.name or "" for reader in readers for value in reader.inputs if value]
    return any(name.startswith(f"{weight}_") or name == f"{weight}_int8" for name in values)


def test_quiet_models_are_computed_exactly() -> None:
    made = read(RESIDUAL, FILTER)
    quantized(made, IMAGE, "quantize/static{portable=true}")
    with Saturating(made, OPEN) as session:
        found = session.run(IMAGE[0])
    assert not any(changed for changed, _ in session.touched.values())
    np.testing.assert_allclose(found["y"], EXACT(made, IMAGE[0])["y"], atol=1e-5)


def contents(value: ir.Value | None) -> Array:
    found = graph.array(value)
    return np.zeros(0) if found is None else found


def operands(value: ir.Value | None) -> list[Array]:
    """Return what a value is dequantized from; the first is empty where it is computed."""
    node = None if value is None else value.producer()
    assert node is not None
    assert node.op_type == "DequantizeLinear"
    return [contents(each) for each in node.inputs]


def test_convolutions_saturate_at_every_place_and_group() -> None:
    text = """
    g (float[2,4,7,6] x) => (float[2,6,4,6] y) {
      y = Conv <group = 2, strides = [2, 1], pads = [1, 1, 1, 1]> (x, w)
    }"""
    weight = np.sign(normal(6, 2, 3, 3)) * (1 + 0.2 * np.abs(normal(6, 2, 3, 3, seed=1)))
    made = read(text, {"w": weight.astype(np.float32)})
    feeds = [{"x": np.abs(normal(2, 4, 7, 6, seed=seed)) + 3} for seed in range(2)]
    quantized(made, feeds, "quantize/static{weight-bits=8}")
    with Saturating(made, OPEN) as session:
        found = session.run(feeds[0])["y"]
    node = next(node for node in made.graph if node.op_type == "Conv")
    _, step, zero = operands(node.inputs[0])
    integers, scale, _ = operands(node.inputs[1])
    data = np.clip(np.rint(feeds[0]["x"] / step) + zero, 0, 255).astype(int)
    padded = np.pad(data, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=int(zero))
    before = EXACT(made, feeds[0])["y"]
    sums = np.zeros(before.shape)
    for n, m, i, j in np.ndindex(*before.shape):
        group = 2 * (m // 3)
        patch = padded[n, group : group + 2, 2 * i : 2 * i + 3, j : j + 3]
        flat, taps = (a.transpose(1, 2, 0).reshape(-1).astype(int) for a in (patch, integers[m]))
        exact = instruction(flat[None], taps[:, None])[0, 0] - int(zero) * int(taps.sum())
        sums[n, m, i, j] = exact * step * scale[m]
    [use] = node.outputs[0].uses()
    assert use.node.op_type == "QuantizeLinear"
    last, middle = (contents(value) for value in use.node.inputs[1:])
    rounded = np.clip(np.rint(sums / last) + middle, 0, 255) - middle
    np.testing.assert_allclose(found, rounded * last, atol=float(last) * 1.01)
    assert (np.abs(found - before) > 1.5 * last).any()


def test_quantize_says_what_saturates_and_the_remedy_does_not() -> None:
    weights = {**LOUD, "w": LOUD["w"].astype(np.float32)}
    samples = Samples.of([loud(seed) for seed in range(8)])
    said = {}
    eight = "quantize/calibrate, quantize/static{weight-bits=8}"
    for scheme in (eight, "int8-portable"):
        _, report = onnxopt.quantize_with_report(
            model(MLP, weights),
            samples=samples,
            scheme=scheme,
            measure=False,
            check_portability=True,
        )
        row = report.tried[0]
        assert row.portability is not None
        assert row.sqnr_db is not None
        said[scheme] = (row.portability, row.sqnr_db)
    found, sqnr = said["int8-portable"]
    assert not found.touched
    assert abs(found.sqnr_db - sqnr) < 1
    full, _ = said[eight]  # which a processor that saturates shows by itself
    assert full.touched
    assert full.sqnr_db < found.sqnr_db - 3
