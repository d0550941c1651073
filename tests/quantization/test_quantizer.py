"""Quantizing in one call: what is chosen, what is refused, and what the report says of it."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnxopt
from onnxopt.errors import ModelError, UsageError
from onnxopt.quantizer import QuantizeReport
from onnxopt.quantizer.guard import LEAST_DB, MOST_DB, expected_db, to_leave_out
from onnxopt.quantizer.patterns import literal
from onnxopt.quantizer.schemes import SCHEMES, scheme_of
from onnxopt.samples import Samples
from onnxopt.split import CALIBRATING, Split
from tests.contract.corpus.build import model, normal
from tests.quantization.test_static import CHAIN, FILTER, MATRICES, RESIDUAL, SEQUENCE
from tests.quantization.tools import EXACT, Array, sqnr

IMAGES = Samples.of([{"x": normal(1, 8, 12, 12, seed=seed)} for seed in range(12)])
TEXTS = Samples.of([{"x": normal(1, 5, 16, seed=seed)} for seed in range(8)])

RUINED = """
g (float[1,8,12,12] x) => (float[1,8,12,12] y) {
  c = Conv(x, u)
  t = Tanh(c)
  a = Conv <pads = [1,1,1,1]> (t, w, b)
  y = Conv(a, v)
}"""
DEAF: Array = normal(8, 8, 1, 1, seed=4) / 3
DEAF[:, 0] = 0


def loud(seed: int) -> dict[str, Array]:
    """Return an image whose first channel, which weighs nothing, leaves no steps to the others."""
    image = normal(1, 8, 12, 12, seed=seed).copy()
    image[0, 0] *= 1e4
    return {"x": image}


LOUD = Samples.of([loud(seed) for seed in range(12)])


def quantized(
    made: onnx.ModelProto, samples: Samples | Path | None, scheme: str | None = "int8"
) -> tuple[ir.Model, QuantizeReport]:
    return onnxopt.quantize_with_report(made, samples=samples, scheme=scheme, measure=False)


def test_static_takes_every_layer_and_says_so() -> None:
    made = model(RESIDUAL, FILTER)
    result, report = quantized(made, IMAGES)
    row = report.tried[0]
    assert (report.chosen, row.layers, row.integer_share) == ("int8", 3, 1.0)
    assert row.confirmed
    assert report.calibrated_on == 9
    assert report.compared_on == 3
    before = EXACT(onnxopt.optimize(made), {"x": normal(1, 8, 12, 12, seed=99)})
    assert sqnr(before, EXACT(result, {"x": normal(1, 8, 12, 12, seed=99)})) > 25


def test_a_pipeline_is_a_scheme() -> None:
    text = "quantize/calibrate{method=entropy}, quantize/static{weight-bits=7}"
    result, report = quantized(model(RESIDUAL, FILTER), IMAGES, text)
    assert (report.chosen, report.tried[0].layers) == ("custom", 3)
    assert text in report.pipeline
    held = [
        v.const_value for v in result.graph.initializers.values() if v.dtype == ir.DataType.INT8
    ]
    assert max(int(np.abs(t.numpy()).max()) for t in held if t is not None and t.size > 8) == 63


@pytest.mark.parametrize(
    ("text", "operator_set", "bits"),
    [
        ("quantize/weights{type=uint4, block=64}", 21, 4),
        ("quantize/gptq{type=uint2}, quantize/weights{type=uint2}", 25, 2),
        ("quantize/weights{type=binary}", 18, 1),
        ("quantize/weights{type=float8e5m2}", 19, 6),
        ("quantize/nbits{bits=2}", 13, 2),
        ("quantize/calibrate, quantize/static{weight-bits=6}", 13, 6),
        ("quantize/calibrate, quantize/static{portable=true}", 13, 7),
        ("quantize/calibrate, quantize/static{activations=float8e4m3fn}", 19, 7),
        ("quantize/equalize, quantize/dynamic", 13, 8),
        ("quantize/calibrate, quantize/static{activations=uint16}", 21, 8),
    ],
)
def test_a_pipeline_says_what_it_needs(text: str, operator_set: int, bits: int) -> None:
    scheme = scheme_of(text)
    assert (scheme.opset, scheme.bits) == (operator_set, bits)
    assert ", ".join(filter(None, (*scheme.once, scheme.pipeline))) == text


def test_a_pipeline_that_quantizes_nothing_is_no_scheme() -> None:
    with pytest.raises(UsageError, match="quantizes nothing"):
        scheme_of("quantize/equalize, dce")
    with pytest.raises(UsageError, match="statik"):
        scheme_of("quantize/statik")


def test_a_pass_keeps_the_patterns_it_was_written_with() -> None:
    text = "quantize/calibrate, quantize/static{skip=[y]}"
    _, report = quantized(model(RESIDUAL, FILTER), IMAGES, text)
    assert report.tried[0].layers == 2
    assert "skip=[y]" in report.pipeline


WITHOUT = SCHEMES.keys() - {"int8", "float16", "bfloat16", "float4-weights"}


@pytest.mark.parametrize("scheme", sorted(WITHOUT))
def test_schemes_without_calibration(scheme: str) -> None:
    weights = {**MATRICES, "w": normal(16, 32) / 4, "v": normal(32, 16, seed=1) / 5}
    text = SEQUENCE.replace("float[1,n,4]", "float[1,n,16]")
    result, report = quantized(model(text, weights), TEXTS, scheme)
    assert report.chosen == scheme
    assert report.tried[0].layers == 2
    kinds = {"MatMulInteger", "MatMulNBits", "DequantizeLinear", "BitwiseAnd"}
    assert kinds & {node.op_type for node in result.graph}


def test_what_the_target_cannot_run_is_written_only_unseen() -> None:
    weights = {**MATRICES, "w": normal(16, 32) / 4, "v": normal(32, 16, seed=1) / 5}
    made = model(SEQUENCE.replace("float[1,n,4]", "float[1,n,16]"), weights)
    _, report = quantized(made, TEXTS, "float4-weights")
    assert report.chosen == "float"
    assert "cpu does not run it" in (report.tried[0].refused or "")
    result, report = onnxopt.quantize_with_report(made, scheme="float4-weights", compare=False)
    assert report.chosen == "float4-weights"
    kinds = [value.dtype for value in result.graph.initializers.values()]
    assert kinds.count(ir.DataType.FLOAT4E2M1) == 4


def test_half_precision_is_a_scheme() -> None:
    result, report = quantized(model(SEQUENCE, MATRICES), TEXTS, "float16")
    assert report.chosen == "float16"
    assert result.graph.outputs[0].dtype == ir.DataType.FLOAT
    held = [value.dtype for value in result.graph.initializers.values()]
    assert ir.DataType.FLOAT16 in held
    assert ir.DataType.FLOAT not in held


def test_what_the_target_does_not_take_is_not_handed_back() -> None:
    result, report = quantized(model(SEQUENCE, MATRICES), TEXTS, "bfloat16")
    if report.chosen == "float":  # ONNX Runtime 1.32 has no such product on CPUs
        assert "cpu does not run it" in report.why
        assert all(v.dtype != ir.DataType.BFLOAT16 for v in result.graph.initializers.values())


def test_a_layer_that_ruins_the_outputs_goes_back_to_float() -> None:
    made = model(RUINED, {**FILTER, "u": DEAF})
    result, report = quantized(made, LOUD)
    row = report.tried[0]
    assert report.chosen == "int8"
    assert set(row.in_float) == {"c"}
    assert row.layers == 2
    assert row.sqnr_db is not None
    assert row.least_db is not None
    assert row.sqnr_db >= row.least_db
    feeds = loud(99)
    assert sqnr(EXACT(onnxopt.optimize(made), feeds), EXACT(result, feeds)) > row.least_db - 3


def test_what_cannot_be_mended_is_handed_back_in_float() -> None:
    alone = "g (float[1,8,12,12] x) => (float[1,8,12,12] y) { y = Conv(x, u) }"
    result, report = quantized(model(alone, {"u": DEAF}), LOUD)
    assert report.chosen == "float"
    assert "is not handed back" in report.why
    assert "DequantizeLinear" not in {node.op_type for node in result.graph}


def test_the_model_given_stays() -> None:
    proto = model(CHAIN, FILTER)
    before = proto.SerializeToString()
    quantized(proto, IMAGES)
    assert proto.SerializeToString() == before


def test_without_samples_there_is_a_warning() -> None:
    _, report = quantized(model(CHAIN, FILTER), None)
    assert any("no samples" in warning for warning in report.warnings)


def test_one_sample_is_told() -> None:
    _, report = quantized(model(CHAIN, FILTER), IMAGES.first(1))
    assert any("one sample" in warning for warning in report.warnings)


def test_an_old_operator_set_is_raised_and_told() -> None:
    result, report = quantized(model(CHAIN, FILTER, opset=11, ir_version=7), IMAGES)
    assert result.opset_imports[""] == 13
    assert any("raised from 11 to 13" in note for note in report.notes)


def test_bodies_stay_in_float() -> None:
    text = """
    g (float[6,16] x, bool k) => (float[6,32] y) {
      y = If (k) <
        then_branch = one () => (float[6,32] p) { p = MatMul(x, w) },
        else_branch = two () => (float[6,32] q) { q = Gemm(x, w, b) }
      >
    }"""
    feeds = [{"x": normal(6, 16, seed=s), "k": np.array(s % 2 == 0)} for s in range(4)]
    _, report = quantized(model(text, MATRICES), Samples.of(feeds))
    assert report.chosen == "float"
    assert (report.tried[0].refused or "").startswith("the model has no layer of the kind")


def test_a_quantized_model_is_refused() -> None:
    result, _ = quantized(model(CHAIN, FILTER), IMAGES)
    with pytest.raises(ModelError, match="quantized already: 9 nodes such as QuantizeLinear"):
        quantized(ir.to_proto(result), IMAGES)


def test_a_sample_with_nan_is_named() -> None:
    bad = normal(1, 8, 12, 12)
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match="input 'x' holds NaN in sample 1"):
        quantized(model(CHAIN, FILTER), Samples.of([{"x": bad}, {"x": normal(1, 8, 12, 12)}]))


def test_an_unknown_scheme_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown scheme 'int9', did you mean 'int8'"):
        quantized(model(CHAIN, FILTER), IMAGES, "int9")


@pytest.mark.parametrize("problem", ["empty", "name", "shape", "type"])
def test_samples_that_do_not_fit_are_told(problem: str, tmp_path: Path) -> None:
    if problem == "name":
        np.savez(tmp_path / "a.npz", z=normal(1, 8, 12, 12))
    elif problem == "shape":
        np.savez(tmp_path / "a.npz", x=normal(1, 8, 12))
    elif problem == "type":
        np.savez(tmp_path / "a.npz", x=normal(1, 8, 12, 12).astype(np.float64))
    told = {"empty": "no samples", "name": "no input 'z'", "shape": "wants", "type": "wants"}
    with pytest.raises(ModelError, match=told[problem]):
        quantized(model(CHAIN, FILTER), tmp_path)


def test_the_report_is_json() -> None:
    _, report = quantized(model(CHAIN, FILTER), IMAGES)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["chosen"] == "int8"


@given(
    st.dictionaries(st.text("abc", min_size=1), st.floats(1e-9, 1e3), min_size=1),
    st.floats(1e-6, 1e3),
    st.floats(1e-9, 1.0),
)
def test_what_is_left_in_makes_little_enough_noise(
    noise: dict[str, float], total: float, allowed: float
) -> None:
    out = to_leave_out(noise, total, allowed)
    left = sum(found for name, found in noise.items() if name not in out)
    assert left * total / sum(noise.values()) <= allowed + total * 1e-9
    quietest_out = min((noise[name] for name in out), default=np.inf)
    assert all(noise[name] <= quietest_out for name in noise.keys() - set(out))


@given(st.integers(1, 2000), st.integers(1, 16))
def test_more_layers_and_fewer_bits_explain_more_noise(layers: int, bits: int) -> None:
    assert LEAST_DB <= expected_db(layers, bits) <= MOST_DB + 6.02 * max(min(bits, 11) - 8, 0)
    assert expected_db(layers + 1, bits) <= expected_db(layers, bits)
    assert expected_db(layers, bits) <= expected_db(layers, bits + 1)


@given(st.integers(1, 200) | st.sampled_from([399, 400, 401, 402, 1200, 4999]))
def test_a_stream_is_cut_in_two(count: int) -> None:
    feeds = [{"x": np.array(at)} for at in range(count)]
    split = Split(Samples.of(feeds), CALIBRATING)
    taken = [int(each["x"]) for each in split.fitting()]
    held = [int(each["x"]) for each in split.held()]
    assert len(taken) == split.fitting().count
    assert len(taken) == max(min(count - (count + 2) // 4, 300), 1)
    assert held == [0] if count == 1 else sorted(taken + held) == list(range(count))
    assert split.held(24) == split.held()[:24]
    assert abs(CALIBRATING.given_for(len(held)) - count) <= 3


@given(st.integers(301, 5000))
def test_what_is_calibrated_on_lies_evenly_apart(count: int) -> None:
    split = Split(Samples.of([{"x": np.array(at)} for at in range(count)]), CALIBRATING)
    taken = [int(each["x"]) for each in split.fitting()]
    gaps = np.diff([*taken, taken[0] + count])
    assert gaps.max() - gaps.min() <= 1


@given(st.text("ab[]*?!-", min_size=1, max_size=8))
def test_names_become_patterns_of_themselves(name: str) -> None:
    assert fnmatch.fnmatchcase(name, literal(name))
    assert not fnmatch.fnmatchcase(name + "x", literal(name))


@pytest.mark.parametrize("order", [1, -1])
def test_the_alternative_that_keeps_the_outputs_best_is_taken(
    order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = "quantize/calibrate{method=percentile, percentile=50}"
    once = ("quantize/calibrate", cut)[::order]
    changed = dataclasses.replace(SCHEMES["int8"], once=once)
    monkeypatch.setitem(SCHEMES, "int8", changed)
    _, report = quantized(model(CHAIN, FILTER), IMAGES)
    assert report.chosen == "int8"
    assert cut not in report.pipeline


def test_a_product_is_named_by_its_sum() -> None:
    weights = {**MATRICES, "w": normal(16, 32) / 4, "v": normal(32, 16, seed=1) / 5}
    text = SEQUENCE.replace("float[1,n,4]", "float[1,n,16]")
    _, report = onnxopt.quantize_with_report(
        model(text, weights), samples=TEXTS, scheme="int8", measure=False, only=["a"]
    )
    assert report.tried[0].layers == 1


def test_what_fixed_ranges_ruin_may_be_quantized_dynamically() -> None:
    text = """
    g (float[1,n,16] x) => (float[1,n,16] y) {
      a = MatMul(x, w)
      l = LayerNormalization(a, s)
      y = MatMul(l, v)
    }"""
    weights = {"w": normal(16, 32) / 4, "v": normal(32, 16, seed=1) / 5, "s": normal(32) ** 2 + 1}
    feeds = [{"x": normal(1, 5, 16, seed=at) * np.float32(4.0 ** (at % 8))} for at in range(32)]
    made = model(text, weights)
    result, report = onnxopt.quantize_with_report(made, samples=Samples.of(feeds), measure=False)
    rows = {row.scheme: row for row in report.tried}
    assert list(rows["int8"].in_float) == ["a"]
    rest = rows["int8, the rest dynamic"]
    assert (rest.layers, rest.in_float, rest.refused) == (2, {}, None)
    again = onnxopt.quantize_with_report(made, samples=Samples.of(feeds), measure=False)[1]
    assert again.to_dict()["tried"] == report.to_dict()["tried"]
    assert "DequantizeLinear" in {node.op_type for node in result.graph}


def test_biases_are_corrected_where_that_is_clearly_better() -> None:
    text = "g (float[4,64] x) => (float[4,8] y) { y = Gemm(x, w, b) }"
    weights = {"w": normal(64, 8), "b": normal(8)}
    feeds = [{"x": np.abs(normal(4, 64, seed=at)) + 20} for at in range(16)]
    _, report = quantized(model(text, weights), Samples.of(feeds))
    assert "quantize/correct-bias" in report.pipeline
    centred = [{"x": normal(4, 64, seed=at)} for at in range(16)]
    _, report = quantized(model(text, weights), Samples.of(centred))
    assert "quantize/correct-bias" not in report.pipeline


def test_biases_of_layers_that_stay_in_float_are_not_corrected() -> None:
    text = """
    g (float[4,64] x) => (float[4,8] y, float[4,8] z) {
      y = Gemm(x, w, b)
      z = Gemm(x, v, c)
    }"""
    weights = {
        **{"w": normal(64, 8), "b": normal(8)},
        **{"v": normal(64, 8, seed=1), "c": normal(8, seed=1)},
    }
    feeds = Samples.of([{"x": np.abs(normal(4, 64, seed=at)) + 20} for at in range(16)])
    result, report = onnxopt.quantize_with_report(
        model(text, weights), samples=feeds, scheme="int8", measure=False, skip=["z"]
    )
    assert "quantize/correct-bias{skip=[z]}" in report.pipeline
    held = [value.const_value for value in result.graph.initializers.values()]
    arrays = [tensor.numpy() for tensor in held if tensor is not None]
    assert any(np.array_equal(array, weights["c"]) for array in arrays)
    assert not any(np.array_equal(array, weights["b"]) for array in arrays)


def test_what_cannot_be_kept_names_what_costs_most() -> None:
    alone = "g (float[1,8,12,12] x) => (float[1,8,12,12] y) { y = Conv(x, u) }"
    _, report = quantized(model(alone, {"u": DEAF}), LOUD)
    assert list(report.tried[0].loudest) == ["y"]
    assert any("what costs most alone: y" in remark for remark in report.tried[0].remarks())


def test_patterns_that_name_nothing_are_told() -> None:
    made = model(SEQUENCE, MATRICES)
    skip = ["raise-opset", "MatMol", "MatMul"]
    _, report = onnxopt.quantize_with_report(
        made, samples=TEXTS, scheme="int8", measure=False, skip=skip
    )
    told = [each for each in report.warnings if "has no effect" in each]
    assert len(told) == 2
    assert "it is a pass" in told[0]
    assert "did you mean 'MatMul'?" in told[1]
