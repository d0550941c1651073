"""What a rewrite may touch, and what it leaves behind."""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir
import pytest

from onnxopt import graph
from onnxopt.base import Context, Gate
from onnxopt.errors import OnnxoptError, UsageError
from onnxopt.fingerprint import fingerprint
from onnxopt.rewrite import Const, Decline, Op, PatternOps, Rule, Var
from onnxopt.rewrite.builder import Builder, Operand
from onnxopt.verify import Honest, Verify
from tests.core.rules import left, rewrite, rule_pass
from tests.passes.tools import model_of


class ExpOfRelu(Rule):
    """``Exp(Relu(x))`` becomes ``Hit(x)``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Exp(op.Relu(x))

    def rewrite(self, op: Builder, x: Operand) -> object:
        return op.Hit(x, _domain="test")


class Shared(ExpOfRelu):
    """The same, also where the inner value is used elsewhere."""

    shared: ClassVar[bool] = True


class ScaledTwice(Rule):
    """``x * a * b`` becomes ``x * c``."""

    def pattern(self, op: PatternOps, x: Var, a: Const, b: Const) -> Op:
        return x * a * b

    def rewrite(self, op: Builder, x: Operand, a: ir.Value, b: ir.Value) -> object:
        left, right = graph.array(a), graph.array(b)
        assert left is not None
        assert right is not None
        return op.Mul(x, left * right)


class NoNeg(Rule):
    """``Neg(Neg(x))`` becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Neg(op.Neg(x))

    def rewrite(self, op: Builder, x: Operand) -> object:
        return x


@pytest.mark.parametrize(
    "text",
    [
        "(float[4] x) => (float[4] y, float[4] z) { a = Relu(x) y = Exp(a) z = Sin(a) }",
        "(float[4] x) => (float[4] y, float[4] a) { a = Relu(x) y = Exp(a) }",
        """(float[4] x, bool c) => (float[4] y, float[4] z) { a = Relu(x) y = Exp(a)
            z = If(c) <then_branch = t () => (float[4] p) { p = Sin(a) },
                       else_branch = e () => (float[4] q) { q = Sin(x) }> }""",
    ],
    ids=["read", "returned", "read in a branch"],
)
def test_a_value_inside_that_is_needed_outside(text: str) -> None:
    assert "Hit" not in left(rewrite(text, ExpOfRelu))
    model = rewrite(text, Shared)
    assert "Hit" in left(model)
    assert "Relu" in left(model)


def test_outputs_keep_their_names_and_types() -> None:
    text = """(float[n,4] x) => (float[m,4] y, float[n,4] z) {
        a = Relu(x) y = Exp(a) b = Neg(x) z = Neg(b) }"""
    model = rewrite(text, ExpOfRelu, NoNeg)
    assert left(model) == ["Hit", "Identity"]
    assert [value.name for value in model.graph.outputs] == ["y", "z"]
    assert [graph.dims(value) for value in model.graph.outputs] == [("m", 4), ("n", 4)]
    assert rule_pass(NoNeg).run(model, Context()) == 0


def test_an_output_cannot_become_another_output() -> None:
    text = """(float[4] x) => (float[4] y, float[4] z) {
        y = Relu(x) a = Neg(y) z = Neg(a) }"""
    model = rewrite(text, NoNeg)
    assert left(model) == ["Identity", "Relu"]
    assert [value.name for value in model.graph.outputs] == ["y", "z"]


BRANCHES = """(float[4] x, bool c) => (float[4] y) {{
    outer = Relu(x) k = Constant<value = float {{2}}>()
    y = If(c) <then_branch = t () => (float[4] p) {{ {} }},
               else_branch = e () => (float[4] q) {{ q = Sin(outer) }}> }}"""


def test_patterns_match_inside_of_branches() -> None:
    model = rewrite(BRANCHES.format("a = Relu(x) p = Exp(a)"), ExpOfRelu)
    assert left(model) == ["Constant", "Hit", "If", "Relu", "Sin"]


def test_patterns_do_not_reach_out_of_a_branch() -> None:
    model = rewrite(BRANCHES.format("p = Exp(outer)"), ExpOfRelu, Shared)
    assert "Hit" not in left(model)


def test_constants_count_from_any_scope() -> None:
    inside = "h = Constant<value = float {3}>() a = Mul(x, k) p = Mul(h, a)"
    model = rewrite(BRANCHES.format(inside), ScaledTwice)
    assert left(model).count("Mul") == 1
    (branch, _) = graph.subgraphs(next(n for n in model.graph if n.op_type == "If"))
    (made,) = branch.initializers.values()
    assert graph.scalar(made) == 6


def test_patterns_match_inside_of_loops() -> None:
    text = """(float[4] x, int64 n, bool c) => (float[4] y) {
        y = Loop(n, c, x) <body = b (int64 i, bool go, float[4] s) => (bool on, float[4] t) {
            on = Identity(go) a = Relu(s) t = Exp(a) }> }"""
    assert left(rewrite(text, ExpOfRelu)) == ["Hit", "Identity", "Loop"]


def test_constants_of_a_function_become_nodes() -> None:
    text = """(float[4] x) => (float[4] y) { y = local.scaled(x) }
        <domain: "local", opset_import: ["" : 18]> scaled (x) => (y) {
            k = Constant<value = float {2}>() h = Constant<value = float {3}>()
            a = Mul(x, k) y = Mul(a, h) }"""
    model = rewrite(text, ScaledTwice)
    (function,) = model.functions.values()
    assert not function.graph.initializers
    product = next(node for node in function if node.op_type == "Mul")
    assert graph.scalar(product.inputs[1]) == 6
    assert [value.name for value in function.outputs] == ["y"]
    again = ir.from_proto(ir.to_proto(model))
    assert left(again) == left(model)


class Declines(Rule):
    """Builds a good deal, then says no."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Exp(op.Relu(x))

    def rewrite(self, op: Builder, x: Operand, root: ir.Node) -> object:
        op.copy(root, [op.Other(x, 3.0, _domain="new")])
        raise Decline("never")


@pytest.mark.parametrize("gate", [Gate(), Gate(limit=0)])
@pytest.mark.parametrize("rule", [Declines, ExpOfRelu])
def test_what_does_not_happen_leaves_no_trace(gate: Gate, rule: type[Rule]) -> None:
    if rule is ExpOfRelu and gate.limit is None:
        return
    model = model_of("(float[4] x) => (float[4] y) { a = Relu(x) y = Exp(a) }")
    before = fingerprint(model)
    uses = [len(value.uses()) for node in model.graph for value in node.inputs if value]
    steps, context = rule_pass(rule), Context(gate=gate)
    assert steps.run(model, context) == 0
    assert fingerprint(model) == before
    assert uses == [len(value.uses()) for node in model.graph for value in node.inputs if value]
    assert gate.applied == []
    assert "new" not in model.opset_imports


class SinToCos(Rule):
    """One half of a circle."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Sin(x)

    def rewrite(self, op: Builder, x: Operand) -> object:
        return op.Cos(x)


class CosToSin(Rule):
    """The other half."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Cos(x)

    def rewrite(self, op: Builder, x: Operand) -> object:
        return op.Sin(x)


def test_rules_that_undo_one_another_are_named() -> None:
    text = "(float[4] x) => (float[4] y) { a = Sin(x) b = Cos(a) c = Relu(b) y = Exp(c) }"
    with pytest.raises(OnnxoptError, match="CosToSin, SinToCos undo one another") as problem:
        rewrite(text, ExpOfRelu, CosToSin, SinToCos)
    assert "ExpOfRelu" not in str(problem.value)
    assert "\n" not in str(problem.value)


def test_names_are_unique_in_all_graphs() -> None:
    text = """(float[4] x, bool c) => (float[4] y) {
        h = Constant<value = float {3}>() k = Constant<value = float {2}>()
        y_const = Mul(x, h) y_Mul = Mul(y_const, k)
        y = If(c) <
            then_branch = t () => (float[4] p) { p_const = Mul(y_Mul, h) p = Mul(p_const, k) },
            else_branch = e () => (float[4] q) { p_Mul = Mul(y_Mul, k) q = Mul(p_Mul, h) }> }"""
    model = model_of(text)
    steps = rule_pass(ScaledTwice)
    for observer in (verify := Verify(), honest := Honest()):
        observer.before(steps, model)
    changes = steps.run(model, Context())
    assert changes == 3
    verify.after(steps, model, changes)
    honest.after(steps, model, changes)
    names = [v.name for home in graph.graphs(model) for node in home for v in node.outputs]
    names += [name for home in graph.graphs(model) for name in home.initializers]
    assert len(names) == len(set(names))


def test_names_of_weights_are_taken() -> None:
    text = """(float[4] x) => (float[4] y)
        <float h = {2}, float k = {3}, float[4] b_const = {1, 2, 3, 4}> {
        a = Mul(x, h) b = Mul(a, k) y = Add(b, b_const) }"""
    model = model_of(text)
    assert rule_pass(ScaledTwice).run(model, Context()) == 1
    kept = graph.array(model.graph.initializers["b_const"])
    assert kept is not None
    assert kept.tolist() == [1, 2, 3, 4]
    assert len(model.graph.initializers) == 4


def test_reports_name_the_rule_that_made_a_node() -> None:
    model = rewrite("(float[4] x) => (float[4] y) { a = Relu(x) y = Exp(a) }", ExpOfRelu)
    assert [node.meta["onnxopt.rule"] for node in model.graph] == ["ExpOfRelu"]


def test_numbers_become_constants_of_the_first_inputs_type() -> None:
    class Half(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.Exp(x)

        def rewrite(self, op: Builder, x: Operand) -> object:
            return op.Mul(op.Add(x, 1), 0.5)

    for name in ("float", "float16", "double"):
        model = rewrite(f"({name}[4] x) => ({name}[4] y) {{ y = Exp(x) }}", Half)
        kinds = {value.dtype for value in model.graph.initializers.values()}
        assert kinds == {model.graph.inputs[0].dtype}


def test_a_rule_with_a_mistake_says_so() -> None:
    class NoKind(Rule):
        def pattern(self, op: PatternOps, x) -> Op:  # type: ignore[no-untyped-def]
            return op.Exp(x)

    class NoOperator(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Var:
            return x

    class Unknown(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.Exp(x)

        def rewrite(self, op: Builder, z: Operand) -> object:
            return z

    with pytest.raises(UsageError, match="annotate 'x' as one of Var, Const, Opt, Rest"):
        NoKind()
    with pytest.raises(UsageError, match="must return an operator's output"):
        NoOperator()
    with pytest.raises(UsageError, match=r"Unknown.rewrite: nothing in the pattern is named 'z'"):
        rewrite("(float[4] x) => (float[4] y) { y = Exp(x) }", Unknown)
