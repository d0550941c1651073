"""Products and their biases: Gemm for matrices, MatMul for stacks of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.tools import check
from tests.passes.weights import Array, ints, model, normal

WEIGHTS = {
    "w": normal(4, 6),
    "u": normal(6, 4),
    "b": normal(6),
    "row": normal(1, 6),
    "rows": ints(-1, 4),
    "spread": ints(-1, 3, 6),
    "other": ints(3, -1, 6),
}


@pytest.mark.parametrize("bias", ["b", "row"])
def test_matrices_become_gemm(bias: str) -> None:
    graph = model(
        f"(float[N,4] x) => (float[N,6] y) {{ p = MatMul(x, w) y = Add({bias}, p) }}", WEIGHTS
    )
    check(graph, "fuse", ["Gemm"])


@pytest.mark.parametrize(
    ("head", "weights"),
    [
        ("(float[N,S,4] x) => (float[N,S,6] y)", WEIGHTS),
        ("(float[1,4] x) => (float[3,6] y)", {**WEIGHTS, "b": normal(3, 6)}),
        ("(float[1,4] x) => (float[1,1,6] y)", {**WEIGHTS, "b": normal(1, 1, 6)}),
        (
            "(int32[N,4] x) => (int32[N,6] y)",
            {"w": np.ones((4, 6), np.int32), "b": np.ones(6, np.int32)},
        ),
    ],
)
def test_other_sums_stay(head: str, weights: dict[str, Array]) -> None:
    graph = model(f"{head} {{ p = MatMul(x, w) y = Add(p, b) }}", weights)
    check(graph, "fuse", ["MatMul", "Add"])


@pytest.mark.parametrize(
    "gemm",
    ["Gemm(f, w, b)", "Gemm<transB=1>(f, u, b)", "Gemm<alpha=0.5, beta=2.0>(f, w, row)"],
)
def test_a_gemm_between_reshapes(gemm: str) -> None:
    body = f"f = Reshape(x, rows) g = {gemm} y = Reshape(g, spread)"
    graph = model(f"(float[N,3,4] x) => (float[N,3,6] y) {{ {body} }}", WEIGHTS)
    check(graph, "fuse", ["MatMul", "Add"])


def test_a_product_between_reshapes() -> None:
    body = "f = Reshape(x, rows) g = MatMul(f, w) y = Reshape(g, spread)"
    graph = model(f"(float[N,3,4] x) => (float[N,3,6] y) {{ {body} }}", WEIGHTS)
    check(graph, "fuse", ["MatMul"])


def test_reshapes_that_mix_rows_stay() -> None:
    body = "f = Reshape(x, rows) g = Gemm(f, w, b) y = Reshape(g, other)"
    graph = model(f"(float[N,3,4] x) => (float[3,N,6] y) {{ {body} }}", WEIGHTS)
    check(graph, "fuse", ["Reshape", "Gemm", "Reshape"])


def test_reshapes_that_cut_columns_stay() -> None:
    body = "f = Reshape(x, rows) g = Gemm(f, w, b) y = Reshape(g, spread)"
    graph = model(f"(float[N,6,2] x) => (float[N,3,6] y) {{ {body} }}", WEIGHTS)
    check(graph, "fuse", ["Reshape", "Gemm", "Reshape"])


@pytest.mark.parametrize(
    "gemm", ["Gemm(x, w)", "Gemm<transB=1>(x, u)", "Gemm<alpha=0.5, transB=1>(x, u)"]
)
def test_a_gemm_without_bias_is_a_product(gemm: str) -> None:
    graph = model(f"(float[N,4] x) => (float[N,6] y) {{ y = {gemm} }}", WEIGHTS)
    check(graph, "fuse", ["MatMul"])


def test_a_gemm_of_a_transposed_matrix_stays() -> None:
    graph = model("(float[4,N] x) => (float[N,6] y) { y = Gemm<transA=1>(x, w) }", WEIGHTS)
    check(graph, "fuse", ["Gemm"])
