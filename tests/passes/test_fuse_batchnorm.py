"""BatchNormalization into the layer before or after it."""

from __future__ import annotations

import pytest

from tests.passes.tools import check
from tests.passes.weights import model, normal, positive, statistics

NORM = "BatchNormalization(c, s, t, m, v)"


@pytest.mark.parametrize(
    ("layer", "weight", "channels"),
    [
        ("Conv<pads=[1,1,1,1]>(x, w)", (6, 4, 3, 3), 6),
        ("Conv<group=2>(x, w, b)", (6, 2, 3, 3), 6),
        ("ConvTranspose(x, w)", (4, 6, 3, 3), 6),
        ("ConvTranspose<group=2>(x, w, b)", (4, 3, 3, 3), 6),
    ],
)
def test_after_a_convolution(layer: str, weight: tuple[int, ...], channels: int) -> None:
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,C,H,W] y) {{ c = {layer} y = {NORM} }}",
        {"w": normal(*weight), "b": normal(channels), **statistics(channels)},
    )
    check(graph, "fuse", [layer.partition("(")[0].partition("<")[0]])


def test_before_a_convolution_without_padding() -> None:
    graph = model(
        f"(float[N,4,5,5] c) => (float[N,C,H,W] y) {{ n = {NORM} y = Conv<group=2>(n, w, b) }}",
        {"w": normal(6, 2, 3, 3), "b": normal(6), **statistics(4)},
    )
    check(graph, "fuse", ["Conv"])


def test_padding_keeps_a_normalization_before_it() -> None:
    graph = model(
        f"(float[N,4,5,5] c) => (float[N,C,H,W] y) {{ n = {NORM} y = Conv<pads=[1,1,1,1]>(n, w) }}",
        {"w": normal(6, 4, 3, 3), **statistics(4)},
    )
    check(graph, "fuse", ["BatchNormalization", "Conv"])


@pytest.mark.parametrize(
    ("layer", "left"),
    [
        ("Gemm(x, w)", ["Gemm"]),
        ("Gemm<alpha=0.5, beta=2.0>(x, w, b)", ["Gemm"]),
        ("Gemm<transB=1>(x, u, b)", ["Gemm"]),
        ("MatMul(x, w)", ["Gemm"]),
        ("Add(b, p)", ["Gemm"]),
    ],
)
def test_after_a_product(layer: str, left: list[str]) -> None:
    first = "p = MatMul(x, w)" if layer.startswith("Add") else ""
    graph = model(
        f"(float[N,4] x) => (float[N,6] y) {{ {first} c = {layer} y = {NORM} }}",
        {"w": normal(4, 6), "u": normal(6, 4), "b": normal(6), **statistics(6)},
    )
    check(graph, "fuse", left)


def test_before_a_product() -> None:
    graph = model(
        f"(float[N,4] c) => (float[N,6] y) {{ n = {NORM} y = Gemm<alpha=0.5, transB=1>(n, w, b) }}",
        {"w": normal(6, 4), "b": normal(6), **statistics(4)},
    )
    check(graph, "fuse", ["Gemm"])


def test_axis_1_of_a_stack_of_products_is_no_column() -> None:
    graph = model(
        f"(float[N,6,4] x) => (float[N,6,6] y) {{ c = MatMul(x, w) y = {NORM} }}",
        {"w": normal(4, 6), **statistics(6)},
    )
    check(graph, "fuse", ["MatMul", "BatchNormalization"])


def test_a_layer_that_others_read_stays() -> None:
    graph = model(
        "(float[N,4,5,5] x) => (float[N,6,3,3] y, float[N,6,3,3] c) "
        f"{{ c = Conv(x, w) y = {NORM} }}",
        {"w": normal(6, 4, 3, 3), **statistics(6)},
    )
    check(graph, "fuse", ["Conv", "BatchNormalization"])


def test_a_negative_variance_stays() -> None:
    found = {**statistics(6), "v": -positive(6)}
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,6,3,3] y) {{ c = Conv(x, w) y = {NORM} }}",
        {"w": normal(6, 4, 3, 3), **found},
    )
    check(graph, "fuse", ["Conv", "BatchNormalization"])
