"""Extents read from the first value that has them, however they were computed."""

from __future__ import annotations

from tests.passes.tools import check, unchanged

PIPELINE = "read-extents"


def ints(name: str, *numbers: int) -> str:
    return f"{name} = Constant<value_ints={list(numbers)}>()"


def test_extent_of_something_computed() -> None:
    text = f"""(float[N,M,4] x) => (float[N,M,4] y, float[N] z) {{
        y = Relu(x) t = Transpose<perm=[1,0,2]>(y) s = Shape(t) {ints("i", 1)} n = Gather(s, i)
        {ints("one", 1)} f = Constant<value_float=1.0>() e = Expand(f, n) z = Relu(e) }}"""
    check(text, PIPELINE, ["Relu", "Shape", "Expand", "Relu"])


def test_neighbours_are_read_together() -> None:
    text = f"""(float[A,B,C] x) => (float[B,C] y) {{ s = Shape(x)
        {ints("i", 1)} b = Gather(s, i) {ints("j", 2)} c = Gather(s, j)
        shape = Concat<axis=0>(b, c) f = Constant<value_float=1.0>() y = Expand(f, shape) }}"""
    model = check(text, PIPELINE, ["Shape", "Expand"])
    (read,) = (node for node in model.graph if node.op_type == "Shape")
    assert (read.attributes["start"].as_int(), read.attributes["end"].as_int()) == (1, 3)


def test_one_extent_of_two_inputs() -> None:
    text = f"""(float[N,3] x, float[N,5] w) => (float[N] y, float[N] z) {{
        s = Shape<end=1>(x) t = Shape(w) {ints("i", 0)} n = Gather(t, i)
        f = Constant<value_float=1.0>() g = Constant<value_float=2.0>()
        y = Expand(f, s) z = Expand(g, n) }}"""
    check(text, PIPELINE, ["Shape", "Expand", "Expand"])


def test_scalars_and_polynomials() -> None:
    text = """(float[N,M] x) => (int64[K] y) { s = Shape(x)
        i = Constant<value_int=0>() n = Gather(s, i) j = Constant<value_int=1>() m = Gather(s, j)
        p = Mul(n, m) q = Mul(m, n) two = Constant<value_int=2>() d = Mul(p, two) e = Add(q, d)
        zero = Constant<value_int=0>() one = Constant<value_int=1>() y = Range(zero, e, one) }"""
    check(text, PIPELINE, ["Shape", "Shape", "Mul", "Mul", "Squeeze", "Range"])


def test_is_done_once() -> None:
    text = f"""(float[N,M] x) => (float[N,1,M] y) {{ n = Shape<end=1>(x) m = Shape<start=1>(x)
        {ints("one", 1)} shape = Concat<axis=0>(n, one, m) y = Reshape(x, shape) }}"""
    unchanged(text, PIPELINE)


def test_an_extent_of_the_data_is_read_where_it_arises() -> None:
    text = f"""(float[N] x) => (float[K] y) {{ r = NonZero(x) s = Shape(r) {ints("i", 1)}
        n = Gather(s, i) {ints("shape", -1)} v = Reshape(n, shape)
        f = Constant<value_float=1.0>() y = Expand(f, v) }}"""
    check(text, PIPELINE, ["NonZero", "Shape", "Expand"])


def test_a_number_of_the_data_stays() -> None:
    text = f"""(float[N] x) => (float[K] y) {{ a = Abs(x) c = Cast<to=7>(a)
        s = ReduceMax<keepdims=0>(c) {ints("shape", -1)} v = Reshape(s, shape)
        f = Constant<value_float=1.0>() y = Expand(f, v) }}"""
    unchanged(text, PIPELINE)


def test_old_operator_sets_have_no_parts_of_shapes() -> None:
    text = f"""(float[N,M] x) => (float[M] y) {{ s = Shape(x) {ints("i", 1)} m = Gather(s, i)
        f = Constant<value_float=1.0>() y = Expand(f, m) }}"""
    unchanged(text, PIPELINE, opset=14)
