"""What is handed back of all that was tried, and the pipeline that makes it again."""

from __future__ import annotations

import math

import onnx_ir as ir
import pytest

import onnxopt
from onnxopt.measure.intervals import Estimate
from onnxopt.quantizer.choosing import Choosing
from onnxopt.quantizer.report import Tried
from onnxopt.samples import Samples
from onnxopt.split import CALIBRATING, Split
from tests.contract.corpus.build import model, normal
from tests.quantization.test_quantizer import (
    DEAF,
    IMAGES,
    LOUD,
    RUINED,
    TEXTS,
    quantized,
)
from tests.quantization.test_static import CHAIN, FILTER, MATRICES
from tests.quantization.tools import Array


def row_of(
    scheme: str, value: float, refused: str | None = None, outcome: str | None = None
) -> Tried:
    latency = Estimate(value, value - 0.05, value + 0.05)
    return Tried(scheme=scheme, latency=latency, refused=refused, outcome=outcome)


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([row_of("float", 1.0), row_of("int8", 0.5)], "int8"),
        ([row_of("float", 0.4), row_of("int8", 0.5)], "float"),
        ([row_of("float", 1.0), row_of("int8", 1.2)], "float"),
        ([row_of("float", 1.0), row_of("int8", 0.5, "ruined")], "float"),
        ([row_of("float", 1.2), row_of("int8", 1.2)], "given"),
        ([row_of("float", 1.2)], "given"),
        ([row_of("float", 1.2), row_of("int8", 0.9)], "int8"),
        ([row_of("float", 1.0), row_of("int8", 0.5, outcome="unknown")], "float"),
        ([row_of("float", 1.2), row_of("int8", 0.5, outcome="unknown")], "given"),
        ([row_of("float", 1.2, outcome="unknown"), row_of("int8", 1.2)], "float"),
        ([Tried(scheme="int8", interrupted=True)], "int8"),
    ],
)
def test_nothing_slower_than_the_model_given_is_taken(rows: list[Tried], chosen: str) -> None:
    built = {row.scheme for row in rows} - {"float"}
    assert Choosing(rows, built, measured=True).best()[0] == chosen


@pytest.mark.parametrize(
    ("dynamic", "calibrated", "chosen"),
    [
        (0.52, True, "int8-dynamic"),  # each lies in the interval of the other
        (0.52, False, "int8"),
        (0.56, True, "int8"),
    ],
)
def test_a_tie_goes_to_what_needs_no_samples(dynamic: float, calibrated: bool, chosen: str) -> None:
    rows = [
        row_of("int8", 0.5, outcome="faster"),
        row_of("int8-dynamic", dynamic, outcome="faster"),
    ]
    rows[0].calibrates = calibrated
    found, why = Choosing(rows, {"int8", "int8-dynamic"}, measured=True).best()
    assert found == chosen
    assert ("rests on no samples" in why) == (chosen != "int8")


def test_those_of_which_each_may_be_the_fastest_are_measured_again() -> None:
    values = {"int8": 0.5, "int8-dynamic": 0.58, "int8-weights": 0.7, "half": 0.4, "fp8": 0.45}
    rows = [row_of(name, value, outcome="faster") for name, value in values.items()]
    rows[3].outcome, rows[4].refused = "unknown", "ruined"
    first, second = Choosing(rows, set(values), measured=True).tied()
    assert (first.scheme, second.scheme) == ("int8", "int8-dynamic")
    assert Choosing(rows[:1], set(values), measured=True).tied() == []
    first.measured_again(Estimate(0.6, 0.58, 0.62), "not told")
    assert first.latency is not None
    assert first.latency.value == pytest.approx(math.sqrt(0.5 * 0.6))
    assert (first.latency.low, first.latency.high) == pytest.approx((0.45, 0.62))
    assert first.verdict == "faster by 45.2 % (95 %: 38.0 to 55.0)"
    second.measured_again(Estimate(0.9, 0.8, 1.1), "not told")
    assert (second.outcome, second.verdict) == ("unknown", "not told")


ENCODER = """
g (float[1,6,16] x) => (float[1,6,4] y) {
  a = MatMul(x, w)
  h = Add(a, b)
  g = Relu(h)
  k = MatMul(g, v)
  y = Add(k, c)
}"""


@pytest.mark.parametrize(
    ("text", "weights", "samples", "scheme"),
    [
        (CHAIN, FILTER, IMAGES, "int8"),
        (CHAIN, FILTER, IMAGES, None),
        (RUINED, {**FILTER, "u": DEAF}, LOUD, "int8"),
        (ENCODER, MATRICES, TEXTS.first(8), "int4-weights"),
        (ENCODER, MATRICES, TEXTS.first(8), "int8"),
        (ENCODER, MATRICES, TEXTS.first(8), "float16"),
    ],
    ids=["chain", "chosen", "mended", "int4", "encoder", "half"],
)
def test_the_pipeline_in_the_report_makes_the_result_again(
    text: str, weights: dict[str, Array], samples: Samples, scheme: str | None
) -> None:
    made = model(text, weights, opset=17)
    if text is ENCODER:
        samples = Samples.of([{"x": normal(1, 6, 16, seed=seed)} for seed in range(8)])
    result, report = quantized(made, samples, scheme)
    again = onnxopt.optimize(
        made,
        pipeline=report.pipeline,
        samples=Split(samples, CALIBRATING).fitting(),
        verify="off",
    )
    assert report.chosen == (scheme or "int8")
    kinds = [node.op_type for node in result.graph]
    assert [node.op_type for node in again.graph] == kinds
    assert ir.to_proto(again).graph.initializer == ir.to_proto(result).graph.initializer
