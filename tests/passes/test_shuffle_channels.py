"""Shuffled channels as one Gather: the same numbers, and nothing else that looks like it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt import shapes
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes import weights
from tests.passes.tools import run


def shuffle(x: str, apart: list[int], perm: list[int], together: list[int]) -> ir.Model:
    text = f"""(float[{x}] x) => (float[{x}] y) {{
        g = Reshape(x, apart) t = Transpose<perm={perm}>(g) s = Reshape(t, together)
        y = Neg(s) }}"""
    held = {"apart": np.array(apart), "together": np.array(together)}
    model = weights.model(text, held, opset=20)
    shapes.infer(model)
    return model


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), st.integers(2, 5), st.lists(st.integers(1, 3), max_size=2), st.data())
def test_numbers_stay(groups: int, each: int, plane: list[int], data: st.DataObject) -> None:
    batch = data.draw(st.integers(1, 3))
    free = data.draw(st.booleans())
    sizes = [batch, groups * each, *plane, 2]
    extents = ",".join(["n" if free else str(batch), *map(str, sizes[1:])])
    first = -1 if free else batch
    rank = len(sizes) + 1
    model = shuffle(
        extents, [first, groups, each, *sizes[2:]], [0, 2, 1, *range(3, rank)], [first, *sizes[1:]]
    )
    feeds = {"x": weights.normal(*sizes)}
    before = run(ir.to_proto(model), feeds)["y"]
    assert Pipeline.parse("shuffle-channels, dce").run(model, Context()) > 0
    assert operators(model) == ["Gather", "Neg"]
    np.testing.assert_array_equal(run(ir.to_proto(model), feeds)["y"], before)


@pytest.mark.parametrize(
    ("apart", "perm", "together"),
    [
        ([2, 6, 2, 2], [0, 1, 3, 2], [2, 6, 4]),
        ([2, 2, 3, 4], [0, 1, 3, 2], [2, 6, 4]),
        ([2, 2, 3, 4], [0, 2, 3, 1], [2, 6, 4]),
        ([2, 2, 3, 4], [0, 2, 1, 3], [2, 4, 6]),
        ([1, 2, 6, 4], [1, 0, 2, 3], [2, 6, 4]),
    ],
    ids=["last axis", "across axes", "three move", "another shape", "of one"],
)
def test_others_stay(apart: list[int], perm: list[int], together: list[int]) -> None:
    model = shuffle("2,6,4", apart, perm, together)
    assert Pipeline.parse("shuffle-channels").run(model, Context()) == 0
