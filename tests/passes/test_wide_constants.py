"""Constants of one number whose shape enlarges what they are combined with."""

from __future__ import annotations

import pytest

from tests.passes.tools import check, unchanged

ROOT = "s = Constant<value=float {1.4142135}>() o = Constant<value=float {1}>()"
GELU = "q = Div(x, s) e = Erf(q) g = Add(e, o) m = Mul(x, g) y = Mul(m, h)"
NORM = """two = Constant<value=float {2}>() a = Constant<value_ints=[-1]>()
    mean = ReduceMean(x, a) c = Sub(x, mean) p = Pow(c, two) v = ReduceMean(p, a)
    w = Add(v, h) r = Sqrt(w) y = Div(c, r)"""


@pytest.mark.parametrize("half", ["float[1,1,1] {0.5}", "float[3,1] {0.5, 0.5, 0.5}"])
@pytest.mark.parametrize("opset", [18, 20])
def test_half_of_a_gelu(half: str, opset: int) -> None:
    body = f"{ROOT} h = Constant<value={half}>() {GELU}"
    unchanged(f"(float[1,4] x) => (y) {{ {body} }}", "fuse", opset=opset)


@pytest.mark.parametrize("half", ["float[1] {0.5}", "float[1,4] {0.5, 0.5, 0.5, 0.5}"])
def test_half_that_fits(half: str) -> None:
    body = f"{ROOT} h = Constant<value={half}>() {GELU}"
    check(f"(float[N,4] x) => (float[N,4] y) {{ {body} }}", "fuse", ["Gelu"], opset=20)


def test_epsilon_of_a_normalization() -> None:
    body = f"h = Constant<value=float[1,1,1] {{0.00001}}>() {NORM}"
    unchanged(f"(float[2,4] x) => (y) {{ {body} }}", "fuse")
