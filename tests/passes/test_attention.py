"""Attention in one operator: both exporters' forms, and one test a guard."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import onnx.checker
import onnx_ir as ir
import pytest

from onnxopt import catalogue, shapes
from onnxopt.base import Context, Gate
from onnxopt.pipeline import Pipeline
from onnxopt.target import Target
from tests.contract.corpus import dialects
from tests.passes.tools import random_feeds, run
from tests.passes.weights import Array, ints, model, normal, number

TARGET = catalogue.find_backend("cpu").target()
LOWEST = float(np.finfo(np.float32).min)

HEAD = "(float[B,S,8] q, float[B,T,8] k, float[B,T,8] v, bool[B,1,S,T] m) => (float[B,S,8] y)"
HEADS = """
    rq = Reshape(q, split) tq = Transpose<perm=[0,2,1,3]>(rq)
    rk = Reshape(k, split) tk = Transpose<perm=[0,2,3,1]>(rk)
    rv = Reshape(v, split) tv = Transpose<perm=[0,2,1,3]>(rv)
"""
TWICE = "sq = Mul(tq, half) sk = Mul(tk, half) p = MatMul(sq, sk)"
MASK = "k0 = Where(m, zero, low) z = Add(p, k0)"
BACK = "o = MatMul(w, tv) to = Transpose<perm=[0,2,1,3]>(o) y = Reshape(to, join)"
GUARD = "w0 = Softmax<axis=-1>(z) n = IsNaN(w0) w = Where(n, zero, w0)"
PLAIN = "w = Softmax<axis=-1>(z)"
NUMBERS = {
    "split": ints(0, 0, 4, 2),
    "join": ints(0, 0, 8),
    "half": number(0.7),
    "zero": number(0),
    "low": number(LOWEST),
    "lost": number(-math.inf),
}


def made(
    scores: str = TWICE,
    mask: str = MASK,
    weights: str = PLAIN,
    head: str = HEAD,
    heads: str = HEADS,
    back: str = BACK,
    numbers: Mapping[str, Array] | None = None,
) -> ir.Model:
    """Return an attention put together from its parts."""
    text = f"{head} {{ {heads} {scores} {mask} {weights} {back} }}"
    return model(text, {**NUMBERS, **(numbers or {})})


def fused(source: ir.Model, *, hide: bool = False, target: Target = TARGET) -> list[str]:
    """Run the pass, hold what it must keep, and return the operators left.

    ``hide`` feeds a mask that hides all keys from the second query.
    """
    shapes.infer(source)
    before = ir.to_proto(source)
    Pipeline.parse("attention, cse, dce").run(source, Context(target=target))
    after = ir.to_proto(source)
    onnx.checker.check_model(after, full_check=True)
    for size in (2, 3):
        feeds = random_feeds(before, size)
        if hide:
            feeds["m"][:, :, 1, :] = False
        for name, expected in run(before, feeds).items():
            found = run(after, feeds)[name]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    return sorted(node.op_type for node in source.graph)


def stays(source: ir.Model) -> bool:
    """Return whether the pass leaves a model as it is."""
    shapes.infer(source)
    return Pipeline.parse("attention").run(source, Context(target=TARGET)) == 0


@pytest.mark.parametrize(
    "scores",
    [
        TWICE,
        "p = MatMul(tq, tk)",
        "sq = Mul(tq, half) p = MatMul(sq, tk)",
        "p0 = MatMul(tq, tk) p = Mul(p0, half)",
        "p0 = MatMul(tq, tk) p = Div(p0, half)",
    ],
)
def test_scales_become_one(scores: str) -> None:
    assert fused(made(scores)) == ["Attention", "Where"]


def test_without_mask() -> None:
    source = made("sq = Mul(tq, half) z = MatMul(sq, tk)", "")
    assert fused(source) == ["Attention"]
    assert source.opset_imports[""] == 23


def test_a_query_without_any_key_attends_to_all_alike() -> None:
    assert fused(made(), hide=True) == ["Attention", "Where"]


def test_a_guarded_query_without_any_key_gives_zeros() -> None:
    source = made(mask=MASK.replace("low", "lost"), weights=GUARD)
    assert fused(source, hide=True) == ["Attention", "Where"]


def test_a_runtime_whose_operator_gives_nan_keeps_the_guard() -> None:
    source = made(mask=MASK.replace("low", "lost"), weights=GUARD)
    older = dataclasses.replace(TARGET, probe_zero_rows=lambda: False)
    assert fused(source, hide=True, target=older) == ["Attention", "IsNaN", "Where", "Where"]


def test_heads_that_are_not_put_together_again() -> None:
    source = made(head=HEAD.replace("float[B,S,8] y", "float[B,4,S,2] y"), back="y = MatMul(w, tv)")
    assert fused(source) == ["Attention", *["Reshape"] * 3, *["Transpose"] * 3, "Where"]


@pytest.mark.parametrize(("low", "weights"), [("low", PLAIN), ("lost", GUARD)])
def test_scores_filled_in_are_masked(low: str, weights: str) -> None:
    source = made(mask=f"z = Where(m, p, {low})", weights=weights)
    assert fused(source, hide=True) == ["Attention", "Where"]


def test_scores_filled_in_with_what_may_count_stay() -> None:
    assert stays(made(mask="z = Where(m, p, some)", numbers={"some": number(-1e4)}))
    assert stays(made(mask="z = Where(m, p, lost)"))


def test_heads_gathered_into_the_batch_are_found() -> None:
    source = ir.from_proto(dialects.flattened_heads())
    shapes.infer(source)
    Pipeline.parse("repeat(simplify, dce, infer-shapes)").run(source, Context())
    assert "Attention" in fused(source)


def test_a_constant_mask() -> None:
    causal = np.triu(np.full((3, 3), -np.inf, np.float32), 1)
    head = "(float[B,3,8] q, float[B,3,8] k, float[B,3,8] v) => (float[B,3,8] y)"
    assert fused(made(mask="z = Add(p, causal)", head=head, numbers={"causal": causal})) == [
        "Attention"
    ]
    causal[0] = LOWEST
    assert fused(made(mask="z = Add(p, causal)", head=head, numbers={"causal": causal})) == [
        "Attention"
    ]


def test_a_mask_of_one_row_is_spread() -> None:
    left = fused(made(head=HEAD.replace("bool[B,1,S,T]", "bool[B,1,1,T]")))
    assert left == ["Attention", "Concat", "Expand", "Shape", "Where"]


def test_a_sum_of_masks_keeps_its_lowest_value_out_of_sight() -> None:
    mask = "k0 = Where(m, zero, low) k1 = Add(k0, row) z = Add(p, k1)"
    left = fused(made(mask=mask, numbers={"row": number(0.5)}), hide=True)
    assert left == ["Add", "Attention", "Max", "Where"]


def test_a_choice_of_biases_keeps_its_lowest_value_out_of_sight() -> None:
    mask = "b = Gather(table, zeroth) k0 = Where(m, b, low) z = Add(p, k0)"
    numbers = {"table": normal(2, 1), "zeroth": ints(0)}
    assert "Attention" in fused(made(mask=mask, numbers=numbers), hide=True)


def test_a_mask_that_hides_nothing_is_dropped() -> None:
    mask = "c = Expand(always, size) k0 = Where(c, zero, low) z = Add(p, k0)"
    head = "(float[B,3,8] q, float[B,3,8] k, float[B,3,8] v) => (float[B,3,8] y)"
    numbers = {"always": np.array([True]), "size": ints(1, 1, 3, 3)}
    assert fused(made(mask=mask, head=head, numbers=numbers)) == ["Attention"]


def test_heads_of_values_may_have_another_size() -> None:
    head = HEAD.replace("float[B,T,8] v", "float[B,T,4] v")
    head = head.replace("float[B,S,8] y", "float[B,S,4] y")
    heads = HEADS.replace("Reshape(v, split)", "Reshape(v, narrow)")
    numbers = {"narrow": ints(0, 0, 4, 1), "join": ints(0, 0, 4)}
    source = made(head=head, heads=heads, numbers=numbers)
    assert fused(source) == ["Attention", "Where"]


def test_one_extent_by_two_names() -> None:
    source = made()
    shapes.infer(source)
    mask = next(node for node in source.graph if node.op_type == "Where").outputs[0]
    mask.shape = ir.Shape(["B", 1, "S", "(T*2)//2"])
    assert Pipeline.parse("attention").run(source, Context(target=TARGET)) == 2


def test_rows_flattened_behind_it() -> None:
    head = HEAD.replace("float[B,S,8] y", "float[R,8] y")
    assert fused(made(head=head, numbers={"join": ints(-1, 8)})) == [
        "Attention",
        "Reshape",
        "Where",
    ]


@pytest.mark.parametrize(
    "source",
    [
        made(mask="z = Add(p, bias)", head=HEAD.replace("bool[B,1,S,T] m", "float[B,1,S,T] bias")),
        made(mask=MASK.replace("low", "lost")),
        made(head=HEAD.replace("bool[B,1,S,T]", "bool[B,1,S,1]")),
        made(head=HEAD.replace("bool[B,1,S,T]", "bool[B,1,S,N]")),
        made(weights=PLAIN.replace("-1", "2")),
        made(numbers={"split": ints(0, 0, 2, 4)}),
        made(weights=GUARD.replace("zero", "half")),
        made(weights=GUARD.replace("IsNaN(w0)", "IsInf(w0)")),
        made(weights=GUARD.replace("IsNaN(w0)", "IsNaN(z)")),
        made("sq = Mul(tq, half) p = MatMul(sq, tk)", numbers={"half": number(-0.7)}),
        made(
            heads=HEADS.replace("Reshape(k, split)", "Reshape(k, one)"),
            numbers={"one": ints(0, 0, 1, 2)},
            head=HEAD.replace("float[B,T,8] k", "float[B,T,2] k"),
        ),
        made(head=HEAD.replace("float[B,S,8] q", "float[1,S,8] q")),
        made(head=HEAD.replace("(float[B,S,8] y)", "(float[B,S,8] y, float[B,4,S,T] w)")),
        made(head=HEAD.replace("(float[B,S,8] y)", "(float[B,S,8] y, float[B,4,S,T] p)")),
        made(
            head=HEAD.replace("float[B,S,8] y", "float[B,S,4,2] y"),
            numbers={"join": ints(0, 0, 0, -1)},
        ),
        made(
            head=HEAD.replace("float", "double"),
            numbers={"half": np.array(0.7), "zero": np.array(0.0), "low": np.array(-1e300)},
        ),
    ],
    ids=[
        "the mask is an input",
        "a row may be NaN",
        "a mask of one column",
        "a mask of any length",
        "a softmax of columns",
        "few heads",
        "a guard by another number",
        "a guard against infinity",
        "a guard of the scores",
        "a negative scale",
        "other heads",
        "a broadcast query",
        "weights that are returned",
        "scores that are returned",
        "a shape that refers to the heads",
        "float64",
    ],
)
def test_stays(source: ir.Model) -> None:
    assert stays(source)


CACHED = (
    "(float[B,4,S,4] q, float[B,4,T,4] k, float[B,4,T,4] v, bool[B,1,S,T] m) => (float[B,4,S,4] y)"
)
SHARED = CACHED.replace("float[B,4,S,4]", "float[B,12,S,4]")
ACROSS = "tq = Identity(q) tk = Transpose<perm=[0,1,3,2]>(k)"
REPEATED = """
    uk = Unsqueeze(k, two) ek = Expand(uk, times) k6 = Reshape(ek, all)
    uv = Unsqueeze(v, two) ev = Expand(uv, times) v6 = Reshape(ev, all)
"""
OFTEN = {"two": ints(2), "times": ints(1, 1, 3, 1, 1), "all": ints(0, 12, -1, 4)}


def test_keys_and_values_from_a_cache() -> None:
    back = "y = MatMul(w, v)"
    assert fused(made(head=CACHED, heads=ACROSS, back=back)) == ["Attention", "Identity", "Where"]
    guarded = made(mask=MASK.replace("low", "lost"), weights=GUARD, head=CACHED, heads=ACROSS,
                   back=back)  # fmt: skip
    assert fused(guarded, hide=True).count("Attention") == 1


def test_a_mask_of_one_row_is_spread_over_queries_with_heads() -> None:
    head = CACHED.replace("bool[B,1,S,T]", "bool[B,1,1,T]")
    left = fused(made(head=head, heads=ACROSS, back="y = MatMul(w, v)"))
    assert left == ["Attention", "Concat", "Expand", "Identity", "Shape", "Where"]


def test_shared_keys_and_values_go_in_once() -> None:
    heads = f"{REPEATED} {ACROSS.replace('(k)', '(k6)')}"
    source = made(head=SHARED, heads=heads, back="y = MatMul(w, v6)", numbers=OFTEN)
    assert fused(source) == ["Attention", "Identity", "Where"]


def test_heads_repeated_as_a_whole_stay_repeated() -> None:
    heads = f"{REPEATED} {ACROSS.replace('(k)', '(k6)')}"
    numbers = {**OFTEN, "two": ints(1), "times": ints(1, 3, 1, 1, 1)}
    source = made(head=SHARED, heads=heads, back="y = MatMul(w, v6)", numbers=numbers)
    left = fused(source)
    assert left.count("Expand") == 2
    assert "Attention" in left


def test_only_values_are_shared() -> None:
    heads = f"{REPEATED} {ACROSS}".replace("uk = Unsqueeze(k, two) ek = Expand(uk, times)", "")
    heads = heads.replace("k6 = Reshape(ek, all)", "")
    head = SHARED.replace("float[B,4,T,4] k", "float[B,12,T,4] k")
    left = fused(made(head=head, heads=heads, back="y = MatMul(w, v6)", numbers=OFTEN))
    assert left == ["Attention", "Expand", "Identity", "Reshape", "Unsqueeze", "Where"]


def test_one_head_of_keys_and_values_serves_all_queries() -> None:
    head = SHARED.replace("float[B,4,T,4]", "float[B,1,T,4]")
    left = fused(made(head=head, heads=ACROSS, back="y = MatMul(w, v)"))
    assert left == ["Attention", "Identity", "Where"]


@pytest.mark.parametrize(
    "head",
    [
        CACHED.replace("float[B,4,T,4]", "float[B,N,T,4]"),
        SHARED.replace("float[B,12,S,4] q", "float[B,1,S,4] q").replace("[B,4,T", "[B,12,T"),
    ],
    ids=["heads of unknown number", "queries that are shared"],
)
def test_heads_that_may_not_fit_stay(head: str) -> None:
    assert stays(made(head=head, heads=ACROSS, back="y = MatMul(w, v)"))


def test_without_the_kernel_a_model_stays() -> None:
    source = made()
    shapes.infer(source)
    assert Pipeline.parse("attention").run(source, Context()) == 0
    bare = dataclasses.replace(TARGET, probe_operators=frozenset)
    assert Pipeline.parse("attention").run(source, Context(target=bare)) == 0


@pytest.mark.parametrize("reason", ["old", "function", "subgraph", "nothing to fuse"])
def test_the_operator_set_is_not_raised(reason: str) -> None:
    source = made(weights=PLAIN.replace("-1", "2") if reason == "nothing to fuse" else PLAIN)
    if reason == "old":
        source.graph.opset_imports[""] = 12
    if reason == "function":
        empty = ir.Graph((), (), nodes=(), name="f", opset_imports={"": 18})
        source.functions[("d", "f", "")] = ir.Function("d", "f", graph=empty, attributes=())
    if reason == "subgraph":
        last = source.graph[-1]
        body = ir.Graph((), (), nodes=(), name="g")
        last.attributes["body"] = ir.Attr("body", ir.AttributeType.GRAPH, body)
    opset = source.opset_imports[""]
    shapes.infer(source)
    assert Pipeline.parse("attention").run(source, Context(target=TARGET)) == 0
    assert source.opset_imports[""] == opset


def test_a_closed_gate_keeps_the_operator_set() -> None:
    source = made()
    shapes.infer(source)
    context = Context(target=TARGET, gate=Gate(limit=0))
    assert Pipeline.parse("attention").run(source, context) == 0
    assert source.opset_imports[""] == 18


def test_each_rewrite_is_asked_for() -> None:
    source = made()
    shapes.infer(source)
    context = Context(target=TARGET)
    assert Pipeline.parse("attention").run(source, context) == 2
    assert [site.rule for site in context.gate.applied] == [
        "raise-opset",
        "attention:between-projections",
    ]
    assert Pipeline.parse("attention").run(source, context) == 0
