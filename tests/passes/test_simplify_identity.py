"""Operators that return their input, and those that only look like it."""

from __future__ import annotations

import pytest

from tests.passes.tools import check, unchanged

GOES = {
    "Identity": "y = Identity(r)",
    "Concat of one": "y = Concat<axis=0>(r)",
    "Max of one": "y = Max(r)",
    "Cast": "y = Cast<to=1>(r)",
    "CastLike": "y = CastLike(r, x)",
    "Transpose": "y = Transpose<perm=[0,1]>(r)",
    "Reshape to the shape it has": "s = Shape(x) y = Reshape(r, s)",
    "Reshape that copies": "s = Constant<value_ints=[0,4]>() y = Reshape(r, s)",
    "Flatten": "y = Flatten<axis=1>(r)",
    "Expand to ones": "s = Constant<value_ints=[1,1]>() y = Expand(r, s)",
    "Expand to its own shape": "s = Shape(x) y = Expand(r, s)",
    "Tile": "s = Constant<value_ints=[1,1]>() y = Tile(r, s)",
    "Pad": 's = Constant<value_ints=[0,0,0,0]>() y = Pad<mode="reflect">(r, s)',
    "Split": "y = Split<num_outputs=1>(r)",
    "Dropout": "y, m = Dropout(r)",
    "Dropout switched off": """
        a = Constant<value_float=0.5>() b = Constant<value=bool {0}>() y = Dropout(r, a, b)""",
    "Slice without an end": """
        s = Constant<value_ints=[0]>() e = Constant<value_ints=[9223372036854775807]>()
        a = Constant<value_ints=[0]>() y = Slice(r, s, e, a)""",
    "Slice to the end": """
        s = Constant<value_ints=[0]>() e = Constant<value_ints=[4]>()
        a = Constant<value_ints=[-1]>() y = Slice(r, s, e, a)""",
    "Gather": "i = Constant<value_ints=[0,1,2,3]>() y = Gather<axis=1>(r, i)",
}
STAYS = {
    "Cast": "y = Cast<to=10>(r)",
    "CastLike to another type": "y = Cast<to=11>(r)",
    "Transpose": "y = Transpose(r)",
    "Reshape": "s = Constant<value_ints=[4,-1]>() y = Reshape(r, s)",
    "Expand that adds an axis": "s = Constant<value_ints=[1,1,1]>() y = Expand(r, s)",
    "Tile": "s = Constant<value_ints=[1,2]>() y = Tile(r, s)",
    "Pad": "s = Constant<value_ints=[0,0,0,1]>() y = Pad(r, s)",
    "Split": "y, z = Split<axis=1, num_outputs=2>(r)",
    "Dropout with its mask": "y, z = Dropout(r)",
    "Dropout in training": """
        a = Constant<value_float=0.0>() b = Constant<value=bool {1}>() y = Dropout(r, a, b)""",
    "Slice that may cut": """
        s = Constant<value_ints=[0]>() e = Constant<value_ints=[4]>()
        a = Constant<value_ints=[0]>() y = Slice(r, s, e, a)""",
    "Slice that turns round": """
        s = Constant<value_ints=[-1]>() e = Constant<value_ints=[-9]>()
        a = Constant<value_ints=[1]>() t = Constant<value_ints=[-1]>() y = Slice(r, s, e, a, t)""",
    "Gather in another order": "i = Constant<value_ints=[0,1,3,2]>() y = Gather<axis=1>(r, i)",
    "Gather of some": "i = Constant<value_ints=[0,1,2]>() y = Gather<axis=1>(r, i)",
}


@pytest.mark.parametrize("name", GOES)
def test_goes(name: str) -> None:
    check(f"(float[N,4] x) => (float[N,4] y) {{ r = Relu(x) {GOES[name]} }}", "simplify", ["Relu"])


@pytest.mark.parametrize("name", STAYS)
def test_stays(name: str) -> None:
    second = ", z" if " z " in STAYS[name] else ""
    text = f"(float[N,4] x) => (y{second}) {{ r = Sin(x) {STAYS[name]} }}"
    unchanged(text, "simplify/identity")


def test_identity_of_an_input_stays() -> None:
    check("(float[N] x) => (float[N] y) { y = Identity(x) }", "simplify", ["Identity"])


def test_nothing_is_known_of_an_unknown_shape() -> None:
    unchanged(
        "(float[N,M] x, int64[2] s) => (float[A,B] y) { y = Reshape(x, s) }", "simplify/identity"
    )


@pytest.mark.parametrize(
    ("mode", "left"),
    [("half_pixel", ["Relu"]), ("align_corners", ["Relu"]), ("tf_half_pixel_for_nn", None)],
)
def test_resize(mode: str, left: list[str] | None) -> None:
    text = f"""(float[N,2,4,4] x) => (float[N,2,4,4] y) {{
        r = Relu(x) s = Constant<value_floats=[1.0,1.0,1.0,1.0]>()
        y = Resize<mode="linear", coordinate_transformation_mode="{mode}">(r, , s) }}"""
    if left is None:
        unchanged(text.replace("linear", "nearest"), "simplify")
    else:
        check(text, "simplify", left)


def test_resize_to_sizes() -> None:
    text = """(float[1,2,4,E] x) => (float[1,2,4,E] y) {
        r = Relu(x) s = Constant<value_ints=[1,2,4,E]>() y = Resize(r, , , s) }"""
    check(text.replace("E", "5"), "simplify", ["Relu"])
    resized = text.replace("value_ints=[1,2,4,E]", "value_ints=[1,2,4,6]").replace("E] y", "6] y")
    unchanged(resized.replace("E", "5"), "simplify")


def test_upsample() -> None:
    text = """(float[N,2,4,4] x) => (y) {
        r = Relu(x) s = Constant<value=float[4] {1.0,1.0,1.0,F}>() y = Upsample(r, s) }"""
    unchanged(text.replace("F", "2.0"), "simplify", opset=9)
    good = text.replace("F", "1.0").replace("(y)", "(float[N,2,4,4] y)")
    check(good, "simplify", ["Relu"], opset=9)
