"""Equal things are computed once, and only equal ones."""

from __future__ import annotations

import pytest

from tests.passes.tools import check, unchanged


def test_equal_nodes_become_one() -> None:
    text = """(float[n] x) => (float[n] y) {
        a = Exp(x) b = Exp(x) c = Sin(a) d = Sin(b) y = Add(c, d) }"""
    check(text, "cse", ["Add", "Exp", "Sin"])


@pytest.mark.parametrize("other", ["Mul(b, a)", "Mul(a, b)"])
def test_operands_of_commutative_operators_in_any_order(other: str) -> None:
    text = f"""(float[n] a, float[n] b) => (float[n] y) {{
        c = Mul(a, b) d = {other} y = Sub(c, d) }}"""
    check(text, "cse", ["Mul", "Sub"])


@pytest.mark.parametrize(
    "pair",
    [
        ("Sub(a, b)", "Sub(b, a)"),
        ("Exp(a)", "Sin(a)"),
        ("LeakyRelu<alpha=0.1>(a)", "LeakyRelu<alpha=0.2>(a)"),
        ("Cast<to=1>(a)", "Cast<to=10>(a)"),
        ("Clip(a, k)", "Clip(a, , k)"),
        ("RandomNormalLike(a)", "RandomNormalLike(a)"),
        ("Dropout(a, k, t)", "Dropout(a, k, t)"),
        ("other.Op(a)", "other.Op(a)"),
    ],
)
def test_what_differs_or_has_effects_stays(pair: tuple[str, str]) -> None:
    unchanged(
        f"""(float[n] a, float[n] b, float k, bool t) => (float[n] y, float[n] z) {{
        c = {pair[0]} d = {pair[1]} y = Neg(c) z = Neg(d) }}""",
        "cse",
    )


def test_constants_are_compared_by_contents() -> None:
    same = "k = Constant<value = float[2] {1, 2}>() l = Constant<value = float[2] {1, 2}>()"
    body = "a = Add(x, k) b = Add(x, l) y = Mul(a, b)"
    check(f"(float[2] x) => (float[2] y) {{ {same} {body} }}", "cse", ["Add", "Mul"])
    other = same.replace("{1, 2}>() l", "{1, 3}>() l")
    unchanged(f"(float[2] x) => (float[2] y) {{ {other} {body} }}", "cse")
    shaped = "k = Constant<value = float[2] {1, 2}>() l = Constant<value = float[1,2] {1, 2}>()"
    unchanged(f"(float[2] x) => (float[1,2] y) {{ {shaped} {body} }}", "cse")
    typed = "k = Constant<value = int32 {1}>() l = Constant<value = uint32 {1}>()"
    body = "a = Cast<to=1>(k) b = Cast<to=1>(l) c = Add(x, a) y = Mul(c, b)"
    unchanged(f"(float[2] x) => (float[2] y) {{ {typed} {body} }}", "cse")


def test_outputs_of_the_graph_keep_their_names() -> None:
    text = "(float[n] x) => (float[n] y, float[n] z) { y = Exp(x) a = Exp(x) z = Neg(a) }"
    model = check(text, "cse", ["Exp", "Neg"])
    assert [value.name for value in model.graph.outputs] == ["y", "z"]
    text = "(float[n] x) => (float[n] y, float[n] z) { y = Exp(x) z = Exp(x) }"
    unchanged(text, "cse")
    text = "(float[n] x) => (float[n] y, float[n] z) { a = Exp(x) z = Neg(a) y = Exp(x) }"
    check(text, "cse", ["Exp", "Neg"])


def test_absent_outputs_count() -> None:
    text = """(float[4] x) => (int64[2] i, float[2] y) {
        k = Constant<value_ints=[2]>() , i = TopK(x, k) z, j = TopK(x, k) y = Exp(z) }"""
    unchanged(text, "cse")


def test_graphs_are_merged_each_by_itself() -> None:
    text = """(float[n] x, bool c) => (float[n] y) {
        h = Exp(x)
        a = If(c) <
            then_branch = t () => (float[n] p) { b = Exp(x) d = Exp(x) p = Add(b, d) },
            else_branch = e () => (float[n] q) { f = Sin(x) q = Identity(f) }>
        y = Mul(a, h) }"""
    check(text, "cse", ["Add", "Exp", "Exp", "Identity", "If", "Mul", "Sin"])
    bodies = "<then_branch = t{0} () => (float[n] p{0}) {{ p{0} = Exp(x) }},"
    bodies += " else_branch = e{0} () => (float[n] q{0}) {{ q{0} = Sin(x) }}>"
    text = f"""(float[n] x, bool c) => (float[n] y) {{
        a = If(c) {bodies.format(1)} b = If(c) {bodies.format(2)} y = Add(a, b) }}"""
    unchanged(text, "cse")
