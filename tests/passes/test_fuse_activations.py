"""Gelu and HardSwish from the forms that exporters write out."""

from __future__ import annotations

import math

import pytest

from tests.passes.tools import check, unchanged
from tests.passes.weights import model, number

NUMBERS = {
    "root": number(math.sqrt(2)),
    "inverse": number(math.sqrt(0.5)),
    "half": number(0.5),
    "one": number(1),
    "three": number(3),
    "six": number(6),
    "sixth": number(1 / 6),
    "zero": number(0),
    "c": number(0.044715),
    "s": number(math.sqrt(2 / math.pi)),
}
ERF = {
    "divided": "d = Div(x, root) e = Erf(d) g = Add(e, one)",
    "multiplied": "d = Mul(inverse, x) e = Erf(d) g = Add(one, e)",
}
TANH = {
    "power": "q = Pow(x, three) k = Mul(q, c) a = Add(x, k) i = Mul(a, s) h = Tanh(i) "
    "g = Add(h, one)",
    "cube": "u = Mul(x, x) q = Mul(x, u) k = Mul(c, q) a = Add(x, k) i = Mul(s, a) h = Tanh(i) "
    "g = Add(h, one)",
    "square": "u = Mul(x, c) q = Mul(u, x) a = Add(q, one) k = Mul(x, s) i = Mul(k, a) h = Tanh(i) "
    "g = Add(one, h)",
}
ORDERS = {
    "last": "f = Mul(x, g) y = Mul(f, half)",
    "gate": "f = Mul(g, half) y = Mul(x, f)",
    "first": "f = Mul(half, x) y = Mul(f, g)",
}
KNOWN_ERF = ["Div", "Erf", "Add", "Mul", "Mul"]
KNOWN_TANH = ["Pow", "Mul", "Add", "Mul", "Tanh", "Add", "Mul", "Mul"]
HEAD = "(float[N,5] x) => (float[N,5] y)"


@pytest.mark.parametrize("gate", ERF)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("opset", [17, 20])
def test_gelu(gate: str, order: str, opset: int) -> None:
    graph = model(f"{HEAD} {{ {ERF[gate]} {ORDERS[order]} }}", NUMBERS, opset=opset)
    check(graph, "fuse", ["Gelu"] if opset == 20 else KNOWN_ERF)


@pytest.mark.parametrize("gate", TANH)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("opset", [17, 20])
def test_gelu_by_tanh(gate: str, order: str, opset: int) -> None:
    graph = model(f"{HEAD} {{ {TANH[gate]} {ORDERS[order]} }}", NUMBERS, opset=opset)
    check(graph, "fuse", ["Gelu"] if opset == 20 else KNOWN_TANH)


def test_the_spelling_that_runtimes_know_stays() -> None:
    numbers = "<float root = {1.4142135}, float half = {0.5}, float one = {1}>"
    unchanged(f"{HEAD} {numbers} {{ {ERF['divided']} {ORDERS['first']} }}", "fuse", opset=17)


@pytest.mark.parametrize("wrong", ["root", "half", "one"])
def test_other_numbers_stay(wrong: str) -> None:
    graph = model(
        f"{HEAD} {{ {ERF['divided']} {ORDERS['last']} }}", {**NUMBERS, wrong: number(0.7)}, opset=20
    )
    check(graph, "fuse", KNOWN_ERF)


CLIP = "a = Add(x, three) k = Clip(a, zero, six)"


@pytest.mark.parametrize(
    "body",
    [
        f"{CLIP} m = Mul(x, k) y = Div(m, six)",
        f"{CLIP} m = Mul(k, x) y = Mul(m, sixth)",
        f"{CLIP} m = Div(k, six) y = Mul(m, x)",
        f"{CLIP} m = Mul(k, sixth) y = Mul(x, m)",
        "k = HardSigmoid<alpha=0.16666667, beta=0.5>(x) y = Mul(x, k)",
    ],
)
def test_hard_swish(body: str) -> None:
    check(model(f"{HEAD} {{ {body} }}", NUMBERS), "fuse", ["HardSwish"])


def test_hard_swish_before_its_operator() -> None:
    body = "a = Add(x, three) k = Clip<min=0.0, max=6.0>(a) m = Mul(x, k) y = Div(m, six)"
    check(model(f"{HEAD} {{ {body} }}", NUMBERS, opset=9), "fuse", ["HardSigmoid", "Mul"])


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("a = Add(x, three) k = Clip(a, zero) m = Mul(x, k) y = Div(m, six)", 4),
        ("a = Add(x, three) k = Clip(a, zero, three) m = Mul(x, k) y = Div(m, six)", 4),
        ("k = HardSigmoid<alpha=0.2, beta=0.5>(x) y = Mul(x, k)", 2),
    ],
)
def test_other_bounds_stay(body: str, left: int) -> None:
    names = ["Add", "Clip", "Mul", "Div"] if left == 4 else ["HardSigmoid", "Mul"]
    check(model(f"{HEAD} {{ {body} }}", NUMBERS), "fuse", names)


def test_integers_stay() -> None:
    text = """(int32[N,5] x) => (int32[N,5] y)
    <int32 three = {3}, int32 zero = {0}, int32 six = {6}>
    { a = Add(x, three) k = Clip(a, zero, six) m = Mul(x, k) y = Div(m, six) }"""
    unchanged(text, "fuse")
