"""Loops of known length become their iterations."""

from __future__ import annotations

import pytest

from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import check, model_of, unchanged


def loop(
    body: str,
    *,
    trips: str = "int64 {3}",
    start: str = "c",
    inputs: str = "x",
    results: str = "y",
    enter: str = "float[n,3] s",
    leave: str = "float[n,3] t",
    extra: str = "",
) -> str:
    """Return a graph with one Loop and its state ``s``, ``t`` after a turn."""
    return f"""(float[n,3] x) => (float[n,3] y) <float[3] w = {{1, 2, 3}}> {{
        m = Constant<value = {trips}>() c = Constant<value = bool {{1}}>() h = Relu(x) {extra}
        {results} = Loop(m, {start}, {inputs}) <
            body = b (int64 i, bool go, {enter}) => (bool on, {leave}) {{ {body} }}> }}"""


TURN = "on = Identity(go) a = Add(s, h) t = Mul(a, w)"
GUARD = "on = Constant<value = bool {1}>()"


@pytest.mark.parametrize("trips", ["int64 {3}", "int64[1] {3}"])
@pytest.mark.parametrize("start", ["c", ""])
def test_states_and_captured_values(trips: str, start: str) -> None:
    text = loop(TURN, trips=trips, start=start)
    check(text, "unroll-loops", ["Add", "Mul"] * 3 + ["Relu"])


@pytest.mark.parametrize("goes_on", [GUARD, "on = Or(go, go)"])
def test_a_body_that_says_that_it_goes_on(goes_on: str) -> None:
    text = loop(f"{goes_on} t = Neg(s)")
    if goes_on is GUARD:
        check(text, "unroll-loops", ["Neg"] * 3)
    else:
        unchanged(text, "unroll-loops")


def test_a_loop_that_may_stop_stays() -> None:
    until = """z = ReduceSum<keepdims=0>(s) k = Constant<value = float {100}>()
        on = Less(z, k) t = Add(s, s)"""
    unchanged(loop(until), "unroll-loops")
    unchanged(loop("on = Constant<value = bool {0}>() t = Neg(s)"), "unroll-loops")
    starts = "d = Constant<value = bool {0}>()"
    unchanged(loop(f"{GUARD} t = Neg(s)", start="d", extra=starts), "unroll-loops")


def test_the_number_of_the_turn() -> None:
    body = f"{GUARD} f = Cast<to=1>(i) t = Add(s, f)"
    check(loop(body), "unroll-loops", ["Add"] * 3 + ["Cast"] * 3)
    check(loop(body), "unroll-loops, fold-constants", ["Add"] * 3)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_what_is_scanned_out_is_stacked(opset: int) -> None:
    text = f"""(float[n,3] x) => (float[n,3] y, float[k,n,3] all, float[k] ones) {{
        m = Constant<value = int64 {{2}}>() c = Constant<value = bool {{1}}>()
        y, all, ones = Loop(m, c, x) <
            body = b (int64 i, bool go, float[n,3] s)
                => (bool on, float[n,3] t, float[n,3] seen, float one) {{
                {GUARD} t = Exp(s) seen = Neg(s) one = Cast<to=1>(i) }}> }}"""
    ops = ["Cast"] * 2 + ["Concat"] * 2 + ["Exp"] * 2 + ["Neg"] * 2 + ["Unsqueeze"] * 4
    check(text, "unroll-loops", ops, opset=opset, tolerance=1e-4)


def test_states_that_change_places() -> None:
    text = f"""(float[n,3] x, float[n,3] z) => (float[n,3] a, float[n,3] b) {{
        m = Constant<value = int64 {{3}}>()
        a, b = Loop(m, , x, z) <
            body = b (int64 i, bool go, float[n,3] s, float[n,3] r)
                => (bool on, float[n,3] r2, float[n,3] s2) {{
                {GUARD} s2 = Identity(s) r2 = Identity(r) }}> }}"""
    check(text, "simplify, unroll-loops, simplify", ["Identity", "Identity"])


def test_a_result_that_is_scanned_and_kept() -> None:
    text = f"""(float[n,3] x) => (float[n,3] y, float[k,n,3] all) {{
        m = Constant<value = int64 {{2}}>()
        y, all = Loop(m, , x) <
            body = b (int64 i, bool go, float[n,3] s)
                => (bool on, float[n,3] t, float[n,3] u) {{
                {GUARD} t = Exp(s) u = Identity(t) }}> }}"""
    ops = ["Concat", "Exp", "Exp", "Unsqueeze", "Unsqueeze"]
    check(text, "simplify, unroll-loops, simplify", ops, tolerance=1e-4)


def test_weights_of_a_body() -> None:
    text = loop(f"{GUARD} k = Constant<value = float[3] {{3, 2, 1}}>() t = Mul(s, k)")
    check(text, "fold-constants, unroll-loops, share-initializers", ["Mul"] * 3)


@pytest.mark.parametrize(
    ("trips", "options"),
    [
        ("int64 {0}", ""),
        ("int64 {-1}", ""),
        ("int64 {1000}", ""),
        ("int64 {3}", "{max-iterations=2}"),
        ("int64 {3}", "{max-nodes=5}"),
    ],
)
def test_lengths_that_do_not_pay(trips: str, options: str) -> None:
    unchanged(loop(f"{GUARD} t = Neg(s)", trips=trips), f"unroll-loops{options}")


def test_a_length_that_varies_stays() -> None:
    text = loop(f"{GUARD} t = Neg(s)").replace("(float[n,3] x)", "(float[n,3] x, int64 v)")
    unchanged(text.replace("Loop(m,", "Loop(v,"), "unroll-loops")
    unchanged(text.replace("Loop(m,", "Loop(,"), "unroll-loops")


def test_bodies_within_the_body_are_left() -> None:
    inner = """p = If(go) <then_branch = t1 () => (float[n,3] u) { u = Exp(s) },
        else_branch = e1 () => (float[n,3] v) { v = Neg(s) }>"""
    unchanged(loop(f"{GUARD} {inner} t = Identity(p)"), "unroll-loops")


def test_a_loop_inside_of_a_branch() -> None:
    text = f"""(float[n,3] x, bool d) => (float[n,3] y) {{
        y = If(d) <
            then_branch = t1 () => (float[n,3] u) {{
                m = Constant<value = int64 {{2}}>()
                u = Loop(m, , x) <body = b (int64 i, bool go, float[n,3] s)
                    => (bool on, float[n,3] t) {{ {GUARD} t = Sin(s) }}> }},
            else_branch = e1 () => (float[n,3] v) {{ v = Neg(x) }}> }}"""
    check(text, "unroll-loops", ["If", "Neg", "Sin", "Sin"])


def test_a_loop_without_states() -> None:
    text = f"""(float[n,3] x) => (float[k,n,3] y) {{
        m = Constant<value = int64 {{2}}>() c = Constant<value = bool {{1}}>()
        y = Loop(m) <body = b (int64 i, bool go) => (bool on, float[n,3] t) {{
            {GUARD} t = Sin(x) }}> }}"""
    ops = ["Concat", "Sin", "Sin", "Unsqueeze", "Unsqueeze"]
    check(text.replace("Loop(m)", "Loop(m, c)"), "unroll-loops", ops)
    model = model_of(text)  # ONNX Runtime wants the second input, ONNX does not
    assert Pipeline.parse("unroll-loops, dce").run(model, Context()) > 0
    assert sorted(node.op_type for node in model.graph if node.op_type != "Constant") == ops


def test_a_body_without_its_condition_stays() -> None:
    text = """(float[2] x) => (float[2] y) { n = Constant<value = int64 {2}>()
        y = Loop(n, , x)<body = b (int64 i) => (float[2] o) { o = Identity(x) }> }"""
    assert Pipeline.parse("unroll-loops").run(model_of(text), Context()) == 0
