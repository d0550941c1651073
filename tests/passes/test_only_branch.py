"""An If of which only one branch lets the model run to its end."""

from __future__ import annotations

import numpy as np

from tests.passes.tools import check, unchanged

SQUEEZE = """
(float[N,k,4] x, float[4,3] w) => (float[N,3] y)
<int64[1] one = {1}, int64[1] last = {1}> {
    shape = Shape (x)
    extent = Gather <axis = 0> (shape, last)
    flat = Equal (extent, one)
    s = If (flat) <
        then_branch = then () => (float[N,4] a) { a = Squeeze (x, one) },
        else_branch = other () => (float[N,k,4] b) { b = Identity (x) }
    >
    y = READER
}
"""


def test_takes_the_branch_without_which_a_later_node_cannot_run() -> None:
    source = SQUEEZE.replace("READER", "Gemm (s, w)")
    feeds = {"x": np.arange(20, dtype=np.float32).reshape(5, 1, 4)}
    check(source, "infer-shapes, inline-if", ["Squeeze", "Gemm"], feeds=feeds)


def test_keeps_both_branches_where_both_can_run() -> None:
    unchanged(SQUEEZE.replace("READER", "MatMul (s, w)"), "inline-if")
