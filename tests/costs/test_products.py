"""Matrix products, counted by numpy on numbers that count how often they are multiplied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.costs.models import cost

EXTENT = st.integers(1, 4)


class Number:
    """Counts the multiplications it takes part in."""

    def __init__(self, tally: list[int]) -> None:
        self.tally = tally

    def __mul__(self, other: object) -> Number:
        self.tally.append(1)
        return self

    def __add__(self, other: object) -> Number:
        return self

    __rmul__ = __mul__
    __radd__ = __add__


def numbers(shape: tuple[int, ...], tally: list[int]) -> np.ndarray:
    found = np.empty(shape, dtype=object)
    found.fill(Number(tally))
    return found


def text(shape: tuple[int, ...]) -> str:
    return "float[" + ",".join(map(str, shape)) + "]"


@given(st.lists(EXTENT, max_size=2), EXTENT, EXTENT, EXTENT, st.booleans())
def test_matmul(lead: list[int], m: int, k: int, n: int, one: bool) -> None:
    tally: list[int] = []
    a, b = (*lead, m, k), (*(1 if one else d for d in lead), k, n)
    numbers(a, tally) @ numbers(b, tally)
    row = cost(f"{text(a)} a, {text(b)} b", "y = MatMul(a, b)")
    assert row.macs == len(tally)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bij,bkj->bik", [(2, 3, 4), (2, 5, 4)]),
        ("i,j->ij", [(3,), (4,)]),
        ("bhid,bhjd", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("...ij,...jk->...ik", [(2, 7, 3, 4), (2, 7, 4, 5)]),
        ("ij,ij->", [(3, 4), (3, 4)]),
    ],
)
def test_einsum_of_two(equation: str, shapes: list[tuple[int, ...]]) -> None:
    tally: list[int] = []
    np.einsum(equation, *(numbers(shape, tally) for shape in shapes))
    inputs = ", ".join(f"{text(shape)} i{at}" for at, shape in enumerate(shapes))
    row = cost(inputs, f'y = Einsum <equation = "{equation}"> (i0, i1)')
    assert row.macs == len(tally)


def test_einsum_of_three_goes_from_left_to_right() -> None:
    inputs = "float[2,3] a, float[3,4] b, float[4,5] c"
    row = cost(inputs, 'y = Einsum <equation = "ij,jk,kl->il"> (a, b, c)')
    assert row.macs == 2 * 3 * 4 + 2 * 4 * 5


def test_einsum_of_one_adds() -> None:
    row = cost("float[3,4] a", 'y = Einsum <equation = "ij->i"> (a)')
    assert (row.macs, row.ops) == (0, 12)


@pytest.mark.parametrize(("left", "right"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_gemm(left: int, right: int) -> None:
    a = "4,2" if left else "2,4"
    b = "3,4" if right else "4,3"
    call = f"y = Gemm <transA = {left}, transB = {right}> (a, b, c)"
    row = cost(f"float[{a}] a, float[{b}] b, float[3] c", call)
    assert (row.macs, row.ops) == (2 * 4 * 3, 2 * 3)


@pytest.mark.parametrize(
    ("inputs", "call"),
    [
        ("uint8[2,4] a, uint8[4,3] b", "y = MatMulInteger (a, b)"),
        (
            "uint8[2,4] a, float s, uint8 z, int8[4,3] b, float t, int8 w, float u, uint8 v",
            "y = QLinearMatMul (a, s, z, b, t, w, u, v)",
        ),
        ("float[4,2] a, float[4,3] b", "y = com.microsoft.FusedMatMul <transA = 1> (a, b)"),
        (
            "float[2,4] a, uint8[4,3] b, float s",
            "y = com.microsoft.DynamicQuantizeMatMul (a, b, s)",
        ),
        (
            "uint8[2,4] a, uint8[4,3] b, float s, float t",
            "y = com.microsoft.MatMulIntegerToFloat (a, b, s, t)",
        ),
        (
            "uint8[2,4] a, float s, uint8 z, uint8[4,3] b, float t, uint8 w",
            "y = com.microsoft.QGemm (a, s, z, b, t, w)",
        ),
        (
            "float[2,4] a, uint8[3,1,8] b, float[3] s",
            "y = com.microsoft.MatMulNBits <K = 4, N = 3, bits = 4, block_size = 16> (a, b, s)",
        ),
    ],
)
def test_other_products(inputs: str, call: str) -> None:
    assert cost(inputs, call).macs == 2 * 4 * 3


def test_the_bytes_of_packed_weights_are_those_of_their_bits() -> None:
    row = cost("float[2,4] a", "w = Constant <value = int4[4,4] {1, 2, 3}> () y = Identity (w)")
    assert row.weight_bytes == 8
