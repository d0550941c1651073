"""Biases inside integer products: ONNX Runtime computes what it does of the plain form."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.profiling import executed
from onnxopt.quantization.coverage import foretold, integer_operators
from onnxopt.quantization.saturation import Saturating
from tests.contract.corpus.build import normal
from tests.quantization.test_static import MATRICES, SEQUENCE
from tests.quantization.tools import EXACT, LOAD, quantized, read, sqnr

CPU = catalogue.backend("cpu")
CONTEXT = Context(target=CPU.target())

pytestmark = pytest.mark.skipif(
    "com.microsoft::MatMulIntegerToFloat" not in CPU.target().operators,
    reason="this ONNX Runtime has no MatMulIntegerToFloat",
)

FEEDS = [{"x": normal(1, 5, 16, seed=seed)} for seed in range(4)]
"""What SEQUENCE reads."""


def plain() -> ir.Model:
    made = read(SEQUENCE, MATRICES)
    assert quantized(made, FEEDS) == 2
    return made


def inside(made: ir.Model) -> int:
    return Pipeline.parse("quantize/bias-inside").run(made, CONTEXT)


def test_numbers_stay_and_the_sum_goes() -> None:
    before, after = plain(), plain()
    assert inside(after) == 1
    assert [n.op_type for n in after.graph].count("Sub") == 0
    for feeds in FEEDS:
        assert sqnr(EXACT(before, feeds), EXACT(after, feeds)) > 100
    ran = [node.op_type for node in executed(after, CPU, FEEDS[:1])]
    assert ran.count("MatMulIntegerToFloat") == 2
    assert "Sub" not in ran


def test_the_plan_still_foretells_it() -> None:
    made, kernels = plain(), CPU.target().integer
    assert kernels is not None
    before = foretold(made, kernels)
    inside(made)
    assert foretold(made, kernels) == before
    assert "MatMulIntegerToFloat" in integer_operators(kernels)


def test_saturation_is_seen_in_it_too() -> None:
    wide = {**MATRICES, "w": np.abs(MATRICES["w"]) * 4}
    made = read(SEQUENCE, wide)
    feeds = [{"x": np.abs(each["x"])} for each in FEEDS]
    assert quantized(made, feeds, "quantize/static{weight-bits=8}") == 2
    touched = []
    for _ in range(2):
        session = Saturating(made, LOAD)
        for each in feeds:
            session.run(each)
        touched.append({name: changed for name, (changed, _) in session.touched.items()})
        session.close()
        inside(made)
    assert touched[0] == touched[1]
    assert any(touched[0].values())


@pytest.mark.parametrize("sum_", ["y = Add(m, x2)", "y = Mul(m, b)", "y = Sub(b, m)"])
def test_what_is_no_bias_stays(sum_: str) -> None:
    text = f"""g (float[1,5,16] x, float[1,5,32] x2) => (float[1,5,32] y) {{
        m = MatMul(x, w) {sum_} }}"""
    made = read(text, {"w": MATRICES["w"], "b": MATRICES["b"]})
    feeds = [{**each, "x2": normal(1, 5, 32)} for each in FEEDS]
    quantized(made, feeds)
    assert inside(made) == 0
