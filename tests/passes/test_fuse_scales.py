"""Constant factors and summands into the weights of a layer."""

from __future__ import annotations

import pytest

from tests.passes.tools import check
from tests.passes.weights import model, normal, number, positive

LAYERS = {
    "Conv<group=2>(x, w, b)": ((6, 2, 3, 3), 6),
    "ConvTranspose<group=2>(x, w)": ((4, 3, 3, 3), 6),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("step", ["Mul(k, c)", "Div(c, k)", "Add(k, c)", "Sub(c, k)", "Mul(c, h)"])
def test_after_a_convolution(layer: str, step: str) -> None:
    shape, channels = LAYERS[layer]
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,C,H,W] y) {{ c = {layer} y = {step} }}",
        {"w": normal(*shape), "b": normal(6), "k": positive(channels, 1, 1), "h": number(0.5)},
    )
    check(graph, "fuse", [layer.partition("<")[0]])


@pytest.mark.parametrize("shape", [(5,), (6, 1, 5), (1, 1, 6, 1, 1), (3, 6, 1, 1)])
def test_a_constant_along_other_axes_stays(shape: tuple[int, ...]) -> None:
    graph = model(
        f"(float[3,4,7,7] x) => (float[{','.join('ABCDE'[: max(4, len(shape))])}] y) "
        "{ c = Conv(x, w) y = Mul(c, k) }",
        {"w": normal(6, 4, 3, 3), "k": normal(*shape)},
    )
    check(graph, "fuse", ["Conv", "Mul"])


def test_a_constant_that_repeats_the_only_channel_stays() -> None:
    graph = model(
        "(float[N,4,5,5] x) => (float[N,C,3,3] y) { c = Conv(x, w) y = Mul(c, k) }",
        {"w": normal(1, 4, 3, 3), "k": normal(6, 1, 1)},
    )
    check(graph, "fuse", ["Conv", "Mul"])


def test_division_by_zero_stays() -> None:
    graph = model(
        "(float[N,4,5,5] x) => (float[N,6,3,3] y) { c = Conv(x, w) y = Div(c, k) }",
        {"w": normal(6, 4, 3, 3), "k": 0 * normal(6, 1, 1)},
    )
    check(graph, "fuse", ["Conv", "Div"])


@pytest.mark.parametrize("step", ["Mul(c, k)", "Div(c, k)", "Mul(c, h)"])
def test_after_a_product_and_its_bias(step: str) -> None:
    weights = {"w": normal(4, 6), "b": normal(6), "k": positive(6), "h": number(0.5)}
    body = f"p = MatMul(x, w) c = Add(p, b) y = {step}"
    check(
        model(f"(float[N,S,4] x) => (float[N,S,6] y) {{ {body} }}", weights),
        "fuse",
        ["MatMul", "Add"],
    )
    body = f"c = MatMul(x, w) y = {step}"
    check(model(f"(float[N,S,4] x) => (float[N,S,6] y) {{ {body} }}", weights), "fuse", ["MatMul"])


def test_a_factor_of_each_row_stays() -> None:
    graph = model(
        "(float[N,5,4] x) => (float[N,5,6] y) { c = MatMul(x, w) y = Mul(c, k) }",
        {"w": normal(4, 6), "k": normal(5, 1)},
    )
    check(graph, "fuse", ["MatMul", "Mul"])


@pytest.mark.parametrize("step", ["Mul(x, k)", "Div(x, k)", "Mul(h, x)"])
@pytest.mark.parametrize("pads", ["", "<pads=[1,1,1,1], group=2>"])
def test_before_a_convolution(step: str, pads: str) -> None:
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,6,H,W] y) {{ c = {step} y = Conv{pads}(c, w) }}",
        {"w": normal(6, 2 if pads else 4, 3, 3), "k": positive(4, 1, 1), "h": number(0.5)},
    )
    check(graph, "fuse", ["Conv"])


@pytest.mark.parametrize(
    ("layer", "left"), [("Conv(c, w)", ["Conv"]), ("Conv<pads=[1,1,1,1]>(c, w)", ["Sub", "Conv"])]
)
def test_a_summand_before_a_convolution(layer: str, left: list[str]) -> None:
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,6,H,W] y) {{ c = Sub(x, k) y = {layer} }}",
        {"w": normal(6, 4, 3, 3), "k": normal(4, 1, 1)},
    )
    check(graph, "fuse", left)


def test_a_constant_that_widens_the_input_stays() -> None:
    graph = model(
        "(float[N,1,5,5] x) => (float[N,6,3,3] y) { c = Mul(x, k) y = Conv(c, w) }",
        {"w": normal(6, 4, 3, 3), "k": normal(4, 1, 1)},
    )
    check(graph, "fuse", ["Mul", "Conv"])


def test_integers_stay() -> None:
    weights = {"w": normal(4, 6).astype("int32"), "k": normal(6).astype("int32")}
    graph = model("(int32[N,4] x) => (int32[N,6] y) { c = MatMul(x, w) y = Mul(c, k) }", weights)
    check(graph, "fuse", ["MatMul", "Mul"])
