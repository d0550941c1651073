"""LayerNormalization and RMSNormalization from their written-out forms."""

from __future__ import annotations

import pytest

from tests.passes.tools import check
from tests.passes.weights import ints, model, normal, number

SQUARES = {"power": "q = Pow(c, two)", "product": "q = Mul(c, c)"}
QUOTIENTS = {
    "quotient": "r = Sqrt(e) y = Div(c, r)",
    "reciprocal": "r = Sqrt(e) i = Reciprocal(r) y = Mul(c, i)",
    "one over": "r = Sqrt(e) i = Div(one, r) y = Mul(i, c)",
    "inverse power": "i = Pow(e, minus) y = Mul(c, i)",
}
NUMBERS = {
    "two": number(2),
    "one": number(1),
    "minus": number(-0.5),
    "epsilon": number(1e-5),
    "last": ints(-1),
    "both": ints(1, 2),
    "middle": ints(1),
    "k": normal(6),
    "t": normal(1, 1, 6),
    "square": normal(5, 6),
}
HEAD = "(float[N,5,6] x) => (float[N,5,6] y)"
RMS_HEAD = "(float[N,5,6] c) => (float[N,5,6] y)"
CENTRED = "m = ReduceMean(x, {axes}) c = Sub(x, m)"
VARIANCE = "{square} v = ReduceMean(q, {axes}) e = Add(v, epsilon)"
RMS = ["Pow", "ReduceMean", "Add", "Sqrt", "Div"]
LAYER_NORM = ["ReduceMean", "Sub", *RMS]


def layer_norm(square: str, quotient: str, axes: str = "last") -> str:
    """Write a normalization out, its result being y."""
    parts = f"{CENTRED} {VARIANCE} {QUOTIENTS[quotient]}"
    return parts.format(axes=axes, square=SQUARES[square])


def rms_norm(square: str, quotient: str, axes: str = "last") -> str:
    """Write a normalization of c without the mean out, its result being y."""
    return layer_norm(square, quotient, axes).partition("c = Sub(x, m) ")[2]


@pytest.mark.parametrize("square", SQUARES)
@pytest.mark.parametrize("quotient", QUOTIENTS)
@pytest.mark.parametrize("axes", ["last", "both"])
def test_layer_norm(square: str, quotient: str, axes: str) -> None:
    body = layer_norm(square, quotient, axes)
    check(model(f"{HEAD} {{ {body} }}", NUMBERS), "fuse", ["LayerNormalization"])


@pytest.mark.parametrize("tail", ["z = Mul(y, k)", "z = Mul(y, k) w = Add(t, z)", "z = Add(y, t)"])
def test_scale_and_bias(tail: str) -> None:
    last = tail.rsplit(" = ", 1)[0][-1]
    body = f"{layer_norm('power', 'quotient')} {tail}"
    graph = model(f"(float[N,5,6] x) => (float[N,5,6] {last}) {{ {body} }}", NUMBERS)
    check(graph, "fuse", ["LayerNormalization"])


def test_a_scale_along_other_axes_stays() -> None:
    body = f"{layer_norm('power', 'quotient')} z = Mul(y, square)"
    graph = model(f"(float[N,5,6] x) => (float[N,5,6] z) {{ {body} }}", NUMBERS)
    check(graph, "fuse", ["LayerNormalization", "Mul"])


@pytest.mark.parametrize(
    ("head", "axes", "opset"),
    [
        (HEAD, "middle", 18),
        ("(float[N,5,D] x) => (float[N,5,D] y)", "last", 18),
        ("(double[N,5,6] x) => (double[N,5,6] y)", "last", 18),
    ],
)
def test_unfit_layer_norms_stay(head: str, axes: str, opset: int) -> None:
    numbers = {
        name: value.astype("float64") if "double" in head and value.dtype == "float32" else value
        for name, value in NUMBERS.items()
    }
    body = layer_norm("power", "quotient", axes)
    check(model(f"{head} {{ {body} }}", numbers, opset=opset), "fuse", LAYER_NORM)


def test_layer_norm_before_its_operator_is_spelled_as_known() -> None:
    body = layer_norm("product", "reciprocal").replace("(x, last)", "<axes=[-1]>(x)")
    body = body.replace("(q, last)", "<axes=[-1]>(q)")
    check(model(f"{HEAD} {{ {body} }}", NUMBERS, opset=13), "fuse", LAYER_NORM)


@pytest.mark.parametrize("square", SQUARES)
@pytest.mark.parametrize("quotient", QUOTIENTS)
@pytest.mark.parametrize("opset", [18, 23])
def test_rms_norm(square: str, quotient: str, opset: int) -> None:
    body = rms_norm(square, quotient)
    graph = model(f"{RMS_HEAD} {{ {body} }}", NUMBERS, opset=opset)
    check(graph, "fuse", ["RMSNormalization"] if opset == 23 else RMS)


def test_rms_norm_with_scale() -> None:
    body = f"{rms_norm('power', 'reciprocal')} z = Mul(k, y)"
    graph = model(f"(float[N,5,6] c) => (float[N,5,6] z) {{ {body} }}", NUMBERS, opset=23)
    check(graph, "fuse", ["RMSNormalization"])
