"""Chains of one operator, shapes that are known, and what must not be joined."""

from __future__ import annotations

import pytest

from tests.passes.tools import check, unchanged


def ints(name: str, *numbers: int) -> str:
    return f"{name} = Constant<value_ints={list(numbers)}>()"


@pytest.mark.parametrize(
    ("second", "left"),
    [("1,2,0", ["Relu"]), ("0,2,1", ["Relu", "Transpose"])],
)
def test_transposes(second: str, left: list[str]) -> None:
    shape = "N,2,3" if len(left) == 1 else "A,B,C"
    text = f"""(float[N,2,3] x) => (float[{shape}] y) {{
        r = Relu(x) a = Transpose<perm=[2,0,1]>(r) y = Transpose<perm=[{second}]>(a) }}"""
    check(text, "simplify", left)


def test_transpose_that_others_read() -> None:
    text = """(float[N,2,3] x) => (a, y) {
        a = Transpose<perm=[2,0,1]>(x) y = Transpose<perm=[0,2,1]>(a) }"""
    unchanged(text, "simplify")


def test_transpose_that_moves_ones_only() -> None:
    text = """(float[1,N,3,1] x) => (float[N,1,1,3] y) {
        y = Transpose<perm=[1,0,3,2]>(x) }"""
    check(text, "simplify", ["Reshape"])
    unchanged("(float[M,N,3] x) => (y) { y = Transpose<perm=[1,0,2]>(x) }", "simplify")


def test_transpose_between_reshapes() -> None:
    text = f"""(float[B,4,N,16] x) => (float[B,4,16,N] y) {{
        {ints("s", -1, 0, 16)} shape = Shape(x) {ints("i", 2)} n = Gather(shape, i)
        {ints("j", 0)} b = Gather(shape, j) {ints("m", -1)} {ints("d", 16)} {ints("h", 4)}
        s1 = Concat<axis=0>(m, n, d) a = Reshape(x, s1) t = Transpose<perm=[0,2,1]>(a)
        s2 = Concat<axis=0>(b, h, d, n) y = Reshape(t, s2) }}"""
    check(text, "repeat(simplify, dce, infer-shapes)", ["Transpose"])


def test_transpose_between_reshapes_that_part_otherwise() -> None:
    text = f"""(float[B,4,6] x) => (y) {{ {ints("s", -1, 6)} a = Reshape(x, s)
        t = Transpose<perm=[1,0]>(a) {ints("u", 2, 3, -1)} y = Reshape(t, u) }}"""
    unchanged(text, "simplify")


R, U = ["Reshape"], ["Unsqueeze"]


@pytest.mark.parametrize(
    ("body", "shape", "left"),
    [
        (
            f"{ints('s', -1, 4)} {ints('t', 0, 2, 2)} a = Reshape(x, s) y = Reshape(a, t)",
            "C,2,2",
            ["Reshape"],
        ),
        (f"{ints('s', 6, -1)} a = Reshape(x, s) y = Flatten(a)", "6,C", R),
        (f"{ints('s', 0)} a = Unsqueeze(x, s) y = Squeeze(a, s)", "N,3,4", []),
        (
            f"{ints('s', 1)} {ints('t', 0)} a = Unsqueeze(x, s) y = Unsqueeze(a, t)",
            "1,N,1,3,4",
            ["Unsqueeze"],
        ),
        (
            f"{ints('s', -2)} {ints('t', 1)} a = Unsqueeze(x, s) y = Unsqueeze(a, t)",
            "N,1,3,1,4",
            ["Unsqueeze"],
        ),
        (f"{ints('s', 0, 2)} a = Unsqueeze(x, s) y = Squeeze(a, s)", "N,3,4", []),
        (
            f"{ints('s', 1, -1)} a = Reshape(x, s) {ints('t', 0)} y = Squeeze(a, t)",
            "C",
            ["Reshape"],
        ),
    ],
)
def test_views(body: str, shape: str, left: list[str]) -> None:
    text = f"(float[N,3,4] z) => (float[{shape}] y) {{ x = Relu(z) {body} }}"
    check(text, "repeat(simplify, dce)", ["Relu", *left])


def test_squeezes() -> None:
    text = f"""(float[1,N,1,3,1] x) => (float[N,3] y) {{ {ints("s", 0, -1)} {ints("t", 1)}
        a = Squeeze(x, s) y = Squeeze(a, t) }}"""
    check(text, "simplify", ["Squeeze"])
    before_13 = """(float[1,N,1,3,1] x) => (float[N,3] y) {
        a = Squeeze<axes=[0,4]>(x) y = Squeeze<axes=[1]>(a) }"""
    check(before_13, "simplify", ["Squeeze"], opset=11)


def test_reshape_to_a_computed_target() -> None:
    text = f"""(float[B,S,64] x) => (float[B,S,4,16] y) {{ shape = Shape(x)
        {ints("i", 0)} b = Gather(shape, i) {ints("j", 1)} s = Gather(shape, j)
        {ints("h", 4)} {ints("d", 16)} t = Concat<axis=0>(b, s, h, d) y = Reshape(x, t) }}"""
    check(text, "repeat(simplify, dce)", ["Reshape"])


def test_two_open_extents_stay() -> None:
    text = f"""(float[B,S,64] x, float[S,B] z) => (y) {{ shape = Shape(z)
        {ints("d", 64)} t = Concat<axis=0>(shape, d) y = Reshape(x, t) }}"""
    unchanged(text, "simplify")


@pytest.mark.parametrize(
    ("kind", "between", "to", "left"),
    [
        ("float16", 1, 10, []),
        ("int32", 7, 6, []),
        ("int32", 7, 1, ["Cast"]),
        ("bool", 1, 9, []),
        ("bool", 7, 1, ["Cast"]),
        ("uint8", 1, 7, ["Cast"]),
        ("float", 10, 1, ["Cast", "Cast"]),
        ("float", 7, 1, ["Cast", "Cast"]),
        ("int64", 6, 7, ["Cast", "Cast"]),
        ("int32", 1, 6, ["Cast", "Cast"]),
        ("int8", 2, 6, ["Cast", "Cast"]),
        ("int32", 9, 6, ["Cast", "Cast"]),
    ],
)
def test_casts(kind: str, between: int, to: int, left: list[str]) -> None:
    names = {1: "float", 6: "int32", 7: "int64", 9: "bool", 10: "float16"}
    text = f"""({kind}[N] x) => ({names[to]}[N] y) {{
        a = Cast<to={between}>(x) y = Cast<to={to}>(a) }}"""
    check(text, "simplify", left or ["Identity"])


SLICES = [
    ("1, 9, 0, 1", "2, 5, 0, 1", 1),
    ("1, 9, 0, 2", "1, 9223372036854775807, 0, 2", 1),
    ("3, 9223372036854775807, 0, 2", "0, 2, 0, 1", 1),
    ("8, 20, 0, 1", "1, 3, 0, 1", 1),
    ("-4, -1, 0, 1", "1, 3, 1, 1", 1),
    ("-4, -1, 0, 1", "1, 3, 0, 1", 2),
    ("1, 9, 0, 1", "-3, 9, 0, 1", 2),
    ("9, 1, 0, -1", "1, 3, 0, 1", 2),
]


@pytest.mark.parametrize(("first", "second", "left"), SLICES)
def test_slices(first: str, second: str, left: int) -> None:
    parts = []
    for name, numbers in (("a", first), ("b", second)):
        found = [int(number) for number in numbers.split(",")]
        parts += [ints(f"{name}{place}", number) for place, number in enumerate(found)]
    text = f"""(float[10,6] x) => (float[A,B] y) {{ {" ".join(parts)}
        m = Slice(x, a0, a1, a2, a3) y = Slice(m, b0, b1, b2, b3) }}"""
    check(text, "simplify/slice", ["Slice"] * left)


def test_pads() -> None:
    text = f"""(float[N,2,3] x) => (float[N,B,C] y) {{ {ints("p", 0, 1, 0, 0, 0, 2)}
        {ints("q", 0, 0, 1, 0, 3, 0)} k = Constant<value_float=V>()
        a = Pad(x, p) y = Pad(a, q, k) }}"""
    check(text.replace("V", "0.0"), "simplify", ["Pad"])
    check(text.replace("V", "1.0"), "simplify", ["Pad", "Pad"])
    check(
        text.replace("V", "0.0").replace("1, 0, 0, 0, 2]", "-1, 0, 0, 0, 2]"),
        "simplify",
        ["Pad"] * 2,
    )


def test_concats() -> None:
    text = """(float[N,2] x, float[N,3] z) => (float[N,7] y) {
        a = Concat<axis=1>(x, z) y = Concat<axis=-1>(a, x) }"""
    check(text, "simplify", ["Concat"])
    other = """(float[N,2] x, float[N,2] z) => (y) {
        a = Concat<axis=1>(x, z) b = Concat<axis=1>(z, x) y = Concat<axis=0>(a, b) }"""
    unchanged(other, "simplify")
    read = """(float[N,2] x, float[N,3] z) => (a, y) {
        a = Concat<axis=1>(x, z) y = Concat<axis=-1>(a, x) }"""
    unchanged(read, "simplify")


def test_empty_part_of_a_concat() -> None:
    text = """(float[N,2] x, float[N,0] z) => (float[N,4] y) { y = Concat<axis=1>(x, z, x) }"""
    check(text, "simplify", ["Concat"])


def test_concat_of_a_split() -> None:
    text = """(float[N,6] w) => (float[N,6] y) {
        x = Relu(w) a, b = Split<axis=1, num_outputs=2>(x) y = Concat<axis=-1>(FIRST, SECOND) }"""
    check(text.replace("FIRST", "a").replace("SECOND", "b"), "simplify", ["Relu"])
    unchanged(text.replace("FIRST", "b").replace("SECOND", "a"), "simplify")
    unchanged(text.replace("FIRST", "a").replace("SECOND", "a"), "simplify")


def test_split_of_a_concat() -> None:
    text = f"""(float[N,2] v, float[N,3] w) => (float[N,A] y, float[N,B] z) {{
        c = Concat<axis=1>(v, w) {ints("s", 2, 3)} a, b = Split<axis=1>(c, s)
        y = Relu(a) z = Relu(b) }}"""
    check(text, "simplify", ["Relu", "Relu"])
    check(text.replace("[2, 3]", "[3, 2]"), "simplify", ["Concat", "Relu", "Relu", "Split"])


def test_expand_before_broadcasting() -> None:
    text = """(float[1,4] x, float[N,4] z) => (float[N,4] y) {
        s = Shape(z) a = Expand(x, s) y = Add(a, z) }"""
    check(text, "repeat(simplify, dce)", ["Add"])
    needed = (
        """(float[1,4] x, float[1,4] z, int64[2] s) => (y) { a = Expand(x, s) y = Add(a, z) }"""
    )
    unchanged(needed, "simplify")
    both = """(float[1,4] x, float[1,4] w, float[N,4] z) => (float[N,4] y) {
        s = Shape(z) a = Expand(x, s) b = Expand(w, s) y = Add(a, b) }"""
    check(both, "repeat(simplify, dce)", ["Add", "Expand", "Shape"])


def test_expands() -> None:
    text = f"""(float[1,4] x) => (float[2,3,4] y) {{ {ints("s", 3, 1)} {ints("t", 2, 1, 4)}
        a = Expand(x, s) y = Expand(a, t) }}"""
    check(text, "simplify", ["Expand"])


def test_shape_is_read_upstream() -> None:
    text = """(float[N,4] x) => (int64[2] y, float[N,4] z) {
        a = Sin(x) b = Add(a, x) c = Cos(b) y = Shape(c) z = Sin(x) }"""
    check(text, "repeat(simplify, dce)", ["Shape", "Sin"])


def test_shape_leaves_what_runtimes_fuse() -> None:
    text = """(float[N,4] x, float[4,5] w) => (y, z) {
        a = MatMul(x, w) b = Relu(a) s = Shape(b) y = Size(s) z = Sin(b) }"""
    unchanged(text, "simplify/shape-source")


def test_shape_of_a_transpose() -> None:
    text = f"""(float[N,4,M] x) => (int64[1] y) {{
        a = Transpose<perm=[2,0,1]>(x) s = Shape(a) {ints("i", -2)} y = Gather(s, i) }}"""
    check(text, "repeat(simplify, dce)", ["Gather", "Shape"])


def test_gather_then_unsqueeze() -> None:
    text = f"""(float[N,M] x) => (int64[1] y) {{
        s = Shape(x) i = Constant<value_int=1>() g = Gather(s, i) {ints("a", 0)}
        y = Unsqueeze(g, a) }}"""
    check(text, "repeat(simplify, dce)", ["Gather", "Shape"])
