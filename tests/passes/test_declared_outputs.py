"""Outputs that are declared with other shapes than they have."""

from __future__ import annotations

import pytest

from tests.passes.tools import check, unchanged

SLICE = "s = Constant<value_ints=[1]>() e = Constant<value_ints=[99]>() y = Slice(x, s, e, s)"
TILE = "t = Constant<value_ints=[1,2]>() y = Tile(x, t)"
ZEROS = "z = Constant<value=float[6,1] {0,0,0,0,0,0}>() y = Add(x, z)"


@pytest.mark.parametrize("body", [SLICE, TILE])
def test_a_name_that_an_output_shares_with_an_input_says_nothing(body: str) -> None:
    left = body.rpartition("(")[0].split()[-1]
    model = check(f"(float[N,S] x) => (float[N,S] y) {{ {body} }}", "simplify", [left])
    declared = model.graph.outputs[0].shape
    assert declared is not None
    assert [str(size) for size in declared] == ["N", "S"]


def test_an_output_that_broadcasting_enlarges() -> None:
    unchanged("(float[N,S] x) => (float[N,S] y) { " + ZEROS + " }", "simplify")
