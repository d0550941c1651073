"""Ifs that can only go one way."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from onnxopt import graph
from onnxopt.base import Context, Gate
from onnxopt.pipeline import Pipeline
from tests.passes.tools import check, model_of, unchanged

CONDITION = "c = Constant<value = bool {{{}}}>()"


def branches(then: str, other: str, *, value: int = 1, outputs: str = "y") -> str:
    """Return a graph with one If, whose branches hand on ``p`` and ``q``."""
    return f"""(float[n,3] x) => (float[n,3] y) <float[3] w = {{1, 2, 3}}> {{
        {CONDITION.format(value)} h = Relu(x)
        {outputs} = If(c) <then_branch = t () => (float[n,3] p) {{ {then} }},
                   else_branch = e () => (float[n,3] q) {{ {other} }}> }}"""


@pytest.mark.parametrize(("value", "op"), [(1, "Exp"), (0, "Neg")])
def test_the_branch_that_is_taken(value: int, op: str) -> None:
    text = branches("a = Exp(h) p = Add(a, w)", "b = Neg(h) q = Add(b, w)", value=value)
    model = check(text, "inline-if", sorted(["Add", op, "Relu"]))
    assert model.graph.outputs[0].name == "y"


@pytest.mark.parametrize(
    "form",
    [
        "c = Constant<value = bool[1] {1}>()",
        "i = Constant<value = int64 {3}>() c = Cast<to=9>(i)",
    ],
)
def test_conditions_of_other_forms(form: str) -> None:
    text = branches("p = Exp(h)", "q = Neg(h)").replace(CONDITION.format(1), form)
    check(text, "repeat(fold-constants, inline-if)", ["Exp", "Relu"])


def test_a_condition_that_varies_stays() -> None:
    text = """(float[3] x, bool c) => (float[3] y) {
        y = If(c) <then_branch = t () => (float[3] p) { p = Exp(x) },
                   else_branch = e () => (float[3] q) { q = Neg(x) }> }"""
    unchanged(text, "inline-if")
    default = text.replace("bool c) => (float[3] y)", "bool c) => (float[3] y) <bool c = {1}>")
    unchanged(default, "inline-if")


def test_a_branch_may_hand_on_a_value_from_outside() -> None:
    """ONNX Runtime takes no such branch, so the model is one of onnx-ir's only."""
    model = model_of(branches("a = Exp(h) p = Add(a, w)", "q = Neg(h)"))
    node = next(node for node in model.graph if node.op_type == "If")
    (then, _) = graph.subgraphs(node)
    then.outputs[0] = next(node for node in model.graph if node.op_type == "Relu").outputs[0]
    assert Pipeline.parse("inline-if, dce").run(model, Context()) > 0
    assert [node.op_type for node in model.graph] == ["Relu"]
    assert [value.name for value in model.graph.outputs] == ["y"]


@pytest.mark.parametrize("outside", ["y = Identity(k)", "y = Mul(k, h)"])
def test_a_branch_may_hand_on_a_weight(outside: str) -> None:
    text = f"""(float[n,3] x) => (float[n,3] y) {{
        {CONDITION.format(1)} h = Relu(x)
        k = If(c) <then_branch = t () => (float[1,3] p) <float[1,3] p = {{1, 2, 3}}> {{ }},
                   else_branch = e () => (float[1,3] q) {{ q = Neg(w) }}>
        y = Mul(k, h) }}""".replace("{ q", "{ w = Constant<value = float[1,3] {1, 2, 3}>() q")
    del outside
    check(text, "inline-if", ["Mul", "Relu"])


def test_one_result_for_two_outputs() -> None:
    text = f"""(float[n,3] x) => (float[n,3] y, float[n,3] z) {{
        {CONDITION.format(1)}
        y, z = If(c) <
            then_branch = t () => (float[n,3] p, float[n,3] p2) {{ p = Exp(x) p2 = Identity(p) }},
            else_branch = e () => (float[n,3] q, float[n,3] r) {{ q = Neg(x) r = Sin(x) }}> }}"""
    model = model_of(text)
    node = model.graph[1]
    (then, _) = graph.subgraphs(node)
    then.outputs[1] = then.outputs[0]
    Pipeline.parse("inline-if, dce").run(model, Context())
    assert [node.op_type for node in model.graph] == ["Exp", "Identity"]
    assert [value.name for value in model.graph.outputs] == ["y", "z"]


NESTED = """
    a = Exp(h)
    p = If(c) <then_branch = tt () => (float[n,3] u) { b = Add(a, h) u = Mul(b, w) },
               else_branch = te () => (float[n,3] v) { v = Sub(a, h) }>"""


def test_nested_ifs_of_known_conditions() -> None:
    check(branches(NESTED, "q = Neg(h)"), "inline-if", ["Add", "Exp", "Mul", "Relu"])


def test_a_known_if_inside_of_an_unknown_one() -> None:
    text = branches(NESTED, "q = Neg(h)").replace("(float[n,3] x)", "(float[n,3] x, bool d)")
    text = text.replace("y = If(c)", "y = If(d)")
    check(text, "inline-if", ["Add", "Exp", "If", "Mul", "Neg", "Relu"])


def test_an_unknown_if_inside_of_a_known_one() -> None:
    text = branches(NESTED.replace("If(c)", "If(d)"), "q = Neg(h)")
    text = text.replace("(float[n,3] x)", "(float[n,3] x, bool d)")
    check(text, "inline-if", ["Add", "Exp", "If", "Mul", "Relu", "Sub"])


def test_names_of_the_branch_and_of_the_graph_do_not_meet() -> None:
    """Siblings may use one name twice, as exporters do."""
    text = f"""(float[n,3] x) => (float[n,3] y) {{
        {CONDITION.format(1)}
        a = If(c) <then_branch = t () => (float[n,3] out) {{ tmp = Exp(x) out = Add(tmp, tmp) }},
                   else_branch = e () => (float[n,3] out) {{ out = Neg(x) }}>
        b = If(c) <then_branch = t () => (float[n,3] out) {{ tmp = Sin(x) out = Mul(tmp, tmp) }},
                   else_branch = e () => (float[n,3] out) {{ out = Neg(x) }}>
        y = Sub(a, b) }}"""
    check(text, "inline-if", ["Add", "Exp", "Mul", "Sin", "Sub"])


def test_ifs_of_functions_once_they_are_inlined() -> None:
    text = """(float[n,3] x) => (float[n,3] y) { y = local.choose(x) }
        <domain: "local", opset_import: ["" : 18]> choose (x) => (y) {
            c = Constant<value = bool {1}>()
            y = If(c) <then_branch = t () => (float[n,3] p) { p = Exp(x) },
                       else_branch = e () => (float[n,3] q) { q = Neg(x) }> }"""
    model = model_of(text)
    model.opset_imports["local"] = 1
    assert Pipeline.parse("inline-if").run(model, Context()) == 0
    check(model, "inline, inline-if", ["Exp"])


def test_a_closed_gate() -> None:
    model = model_of(branches("p = Exp(h)", "q = Neg(h)"))
    assert Pipeline.parse("inline-if").run(model, Context(gate=Gate(limit=0))) == 0
    assert isinstance(model.graph[-1], ir.Node)
    assert model.graph[-1].op_type == "If"
