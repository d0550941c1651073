"""Einsum as matrix products, sums and transpositions."""

from __future__ import annotations

import pytest

from tests.passes.tools import check, unchanged
from tests.passes.weights import model, normal

CASES = {
    "bhid,bhjd->bhij": ("N,4,S,8", "N,4,T,8", "N,4,S,T", ["Transpose", "MatMul"]),
    "bhij,bhjd->bhid": ("N,4,S,T", "N,4,T,8", "N,4,S,8", ["MatMul"]),
    "bsd,de->bse": ("N,S,8", "8,6", "N,S,6", ["MatMul"]),
    "bsd, de": ("N,S,8", "8,6", "N,6,S", ["MatMul", "Transpose"]),
    "...d,de->...e": ("N,S,8", "8,6", "N,S,6", ["MatMul"]),
    "bihd,bjhd->bhij": ("N,S,4,8", "N,T,4,8", "N,4,S,T", ["Transpose", "Transpose", "MatMul"]),
    "bhij,bjhd->bihd": ("N,4,S,T", "N,T,4,8", "N,S,4,8", ["Transpose", "MatMul", "Transpose"]),
    "i,j->ij": ("N", "6", "N,6", ["Unsqueeze", "Mul"]),
    "bi,bij->bij": ("N,3", "N,3,4", "N,3,4", ["Unsqueeze", "Mul"]),
    "bsd,d->bs": ("N,S,8", "8", "N,S", ["Reshape", "MatMul", "Reshape"]),
    "bd,bd->b": ("N,8", "N,8", "N", ["Reshape", "Reshape", "MatMul", "Reshape"]),
    "i,i->": ("5", "5", "", ["Reshape", "MatMul", "Reshape"]),
    "abcd,cdef->abef": ("N,S,4,8", "4,8,2,3", "N,S,2,3", ["Reshape"] * 3 + ["MatMul"]),
    "bij,bjk->ik": ("N,3,4", "N,4,5", "3,5", ["Transpose", "Reshape", "Reshape", "MatMul"]),
}


@pytest.mark.parametrize("equation", CASES)
def test_two_operands(equation: str) -> None:
    left, right, out, ops = CASES[equation]
    graph = model(
        f"(float[{left}] a, float[{right}] b) => (float[{out}] y) "
        f'{{ y = Einsum<equation="{equation}">(a, b) }}',
        {},
    )
    check(graph, "einsum", ops)


@pytest.mark.parametrize(
    ("equation", "left", "right", "out"),
    [
        ("bsd,hdk->bhsk", "N,S,8", (4, 8, 6), "N,4,S,6"),
        ("bsd,hdk->bshk", "N,S,8", (4, 8, 6), "N,S,4,6"),
        ("bshk,hkd->bsd", "N,S,4,6", (4, 6, 8), "N,S,8"),
        ("nctw,cd->ndtw", "N,3,S,8", (3, 4), "N,4,S,8"),
    ],
)
def test_projections(equation: str, left: str, right: tuple[int, ...], out: str) -> None:
    graph = model(
        f'(float[{left}] a) => (float[{out}] y) {{ y = Einsum<equation="{equation}">(a, b) }}',
        {"b": normal(*right)},
    )
    left_over = check(graph, "einsum, fold-constants", _kept(equation))
    assert not any(node.op_type == "Einsum" for node in left_over.graph)


def _kept(equation: str) -> list[str]:
    return {
        "bsd,hdk->bhsk": ["MatMul", "Reshape", "Transpose"],
        "bsd,hdk->bshk": ["MatMul", "Reshape"],
        "bshk,hkd->bsd": ["Reshape", "MatMul"],
        "nctw,cd->ndtw": ["Transpose", "MatMul", "Transpose"],
    }[equation]


@pytest.mark.parametrize(
    ("equation", "shape", "out", "ops"),
    [
        ("ij->ji", "N,3", "3,N", ["Transpose"]),
        ("bij->bj", "N,3,4", "N,4", ["ReduceSum"]),
        ("bij->ji", "N,3,4", "4,3", ["ReduceSum", "Transpose"]),
        ("ba", "N,3", "3,N", ["Transpose"]),
    ],
)
def test_one_operand(equation: str, shape: str, out: str, ops: list[str]) -> None:
    graph = model(
        f'(float[{shape}] a) => (float[{out}] y) {{ y = Einsum<equation="{equation}">(a) }}', {}
    )
    check(graph, "einsum", ops)


@pytest.mark.parametrize(
    ("equation", "operands", "out"),
    [
        ("ii->i", ["3,3"], "3"),
        ("ij,jk->ik", ["N,A", "B,5"], "N,5"),
        ("ij,jk->ik", ["N,1", "4,5"], "N,5"),
        ("ab,cb->c", ["N,4", "3,4"], "3"),
        ("bi,bj->bij", ["N,3", "N,4"], "N,3,4"),
        ("ij,jk,kl->il", ["N,3", "3,4", "4,5"], "N,5"),
        ("bhwc,hkc->bhwk", ["N,6,S,4", "6,5,4"], "N,6,S,5"),
    ],
)
def test_others_stay(equation: str, operands: list[str], out: str) -> None:
    named = ", ".join(f"float[{shape}] x{place}" for place, shape in enumerate(operands))
    given = ", ".join(f"x{place}" for place in range(len(operands)))
    unchanged(
        f'({named}) => (float[{out}] y) {{ y = Einsum<equation="{equation}">({given}) }}', "einsum"
    )
