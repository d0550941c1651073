"""Rotary positions in ONNX's operator, held against the written-out form."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue, shapes
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import model_of, random_feeds, run

TARGET = catalogue.find_backend("cpu").target()
ANGLES = "f2 = Concat<axis=-1>(f, f) cos = Cos(f2) sin = Sin(f2)"
TURN = "a, b = Split<axis=-1>(x, sizes) nb = Neg(b) turned = Concat<axis=-1>(nb, a)"


def left(
    angles: str = ANGLES, turn: str = TURN, *, batch: str = "B", sizes: str = "3,3", opset: int = 23
) -> list[str]:
    """Run the rule, hold the numbers at two sizes, and return the operators."""
    source = model_of(
        f"""(float[B,4,S,6] x, float[{batch},S,3] f, float[{batch},S,3] g) => (float[B,4,S,6] y) {{
            sizes = Constant<value_ints=[{sizes}]>() heads = Constant<value_ints=[1]>()
            {angles} c = Unsqueeze(cos, heads) s = Unsqueeze(sin, heads) {turn}
            xc = Mul(x, c) ts = Mul(turned, s) y = Add(xc, ts) }}""",
        opset=opset,
    )
    shapes.infer(source)
    before = source.clone()
    Pipeline.parse("fuse/rotary, dce").run(source, Context(target=TARGET))
    protos = ir.to_proto(before), ir.to_proto(source)
    for size in (2, 3):
        feeds = random_feeds(protos[0], size)
        wanted, found = (run(proto, feeds)["y"] for proto in protos)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    return [n.op_type for n in source.graph if n.op_type != "Constant"]


def test_angles_of_every_row() -> None:
    assert left() == ["Cos", "Sin", "RotaryEmbedding"]


def test_angles_of_all_rows_are_repeated() -> None:
    found = left(batch="1")
    assert found.count("RotaryEmbedding") == 1
    assert found.count("Expand") == 2


def test_scaled_angles() -> None:
    both = "c0 = Cos(f2) s0 = Sin(f2) cos = Mul(c0, k) sin = Mul(s0, k)"
    found = left(f"f2 = Concat<axis=-1>(f, f) k = Constant<value_float=0.7>() {both}")
    assert sorted(found) == ["Cos", "Mul", "Mul", "RotaryEmbedding", "Sin"]


@pytest.mark.parametrize(
    ("angles", "turn", "sizes"),
    [
        (ANGLES.replace("(f, f)", "(f, g)"), TURN, "3,3"),  # halves of different angles
        (ANGLES, TURN.replace("(nb, a)", "(a, nb)"), "3,3"),  # turned the other way
        (ANGLES, TURN, "2,4"),  # no halves
    ],
)
def test_another_rotation_stays(angles: str, turn: str, sizes: str) -> None:
    assert "RotaryEmbedding" not in left(angles, turn, sizes=sizes)


def test_before_the_operator_it_stays() -> None:
    assert "RotaryEmbedding" not in left(opset=22)
