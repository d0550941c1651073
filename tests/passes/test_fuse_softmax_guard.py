"""The guard behind a softmax, where no row can need it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.passes.tools import check
from tests.passes.weights import Array, ints, model, number

LOWEST = float(np.finfo(np.float32).min)
GUARD = "s = Softmax<axis=-1>(z) n = IsNaN(s) y = Where(n, zero, s)"
HEAD = "(float[N,3,4] a, float[N,4,5] b, bool[N,1,5] m) => (float[N,3,5] y)"
NUMBERS = {"zero": number(0), "low": number(LOWEST), "lost": number(-math.inf), "one": number(1)}


def causal(*, whole: bool) -> Array:
    """Return a mask of -inf above the diagonal, or one in which the first row is all -inf."""
    mask = np.triu(np.full((3, 5), -np.inf, np.float32), 0 if whole else 1)
    return mask


@pytest.mark.parametrize(
    ("scores", "left"),
    [
        ("z = MatMul(a, b)", ["MatMul"]),
        ("p = MatMul(a, b) k = Where(m, zero, low) z = Add(p, k)", ["MatMul", "Where", "Add"]),
        ("p = MatMul(a, b) z = Where(m, p, low)", ["MatMul", "Where"]),
        ("p = MatMul(a, b) z = Add(p, causal)", ["MatMul", "Add"]),
        (
            "p = MatMul(a, b) f = Cast<to=1>(m) i = Sub(one, f) k = Mul(i, small) z = Add(k, p)",
            ["MatMul", "Cast", "Sub", "Mul", "Add"],
        ),
    ],
)
def test_no_row_can_be_masked_out(scores: str, left: list[str]) -> None:
    numbers = {**NUMBERS, "causal": causal(whole=False), "small": number(-1e4)}
    check(model(f"{HEAD} {{ {scores} {GUARD} }}", numbers), "fuse", [*left, "Softmax"])


@pytest.mark.parametrize(
    "scores",
    [
        "p = MatMul(a, b) k = Where(m, zero, lost) z = Add(p, k)",
        "p = MatMul(a, b) z = Where(m, p, lost)",
        "p = MatMul(a, b) z = Add(p, causal)",
        "p = MatMul(a, b) k = Where(m, zero, low) q = Add(p, k) z = Add(q, k)",
        "p = MatMul(a, b) z = Mul(p, low)",
        "p = MatMul(a, b) z = Log(p)",
    ],
)
def test_a_row_may_be_masked_out(scores: str) -> None:
    numbers = {**NUMBERS, "causal": causal(whole=True)}
    graph = model(f"{HEAD} {{ {scores} {GUARD} }}", numbers)
    left = [node.op_type for node in graph.graph]
    check(graph, "fuse", left)


def test_a_mask_that_is_an_input_may_hide_a_row() -> None:
    graph = model(
        "(float[N,3,4] a, float[N,4,5] b, float[N,1,5] m) => (float[N,3,5] y) "
        f"{{ p = MatMul(a, b) z = Add(p, m) {GUARD} }}",
        NUMBERS,
    )
    check(graph, "fuse", ["MatMul", "Add", "Softmax", "IsNaN", "Where"])


def test_another_number_than_zero_stays() -> None:
    graph = model(f"{HEAD} {{ z = MatMul(a, b) {GUARD.replace('zero', 'one')} }}", NUMBERS)
    check(graph, "fuse", ["MatMul", "Softmax", "IsNaN", "Where"])


def test_a_softmax_of_columns_stays() -> None:
    graph = model(f"{HEAD} {{ z = MatMul(a, b) {GUARD.replace('-1', '1')} }}", NUMBERS)
    check(graph, "fuse", ["MatMul", "Softmax", "IsNaN", "Where"])


def test_a_zero_of_higher_rank_stays() -> None:
    numbers = {**NUMBERS, "zero": np.zeros((1, 1, 1, 1), np.float32), "end": ints(0)}
    graph = model(
        f"(float[N,3,4] a, float[N,4,5] b) => (float[1,N,3,5] y) {{ z = MatMul(a, b) {GUARD} }}",
        numbers,
    )
    check(graph, "fuse", ["MatMul", "Softmax", "IsNaN", "Where"])
