"""Attributes, outputs, domains and versions in patterns."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest

from onnxopt.base import GENERIC, Context
from onnxopt.rewrite import Attr, Op, PatternOps, Rule, Var
from onnxopt.rewrite.builder import Builder, Operand
from onnxopt.rewrite.pattern import AttrValue, Output
from tests.core.rules import left, matches, rewrite
from tests.passes.tools import model_of


def hit(op: Builder, *inputs: Operand) -> object:
    """Build the node that says where a rule applied."""
    return op.Hit(*inputs, _domain="test")


@pytest.mark.parametrize(
    ("wanted", "attributes", "fits"),
    [
        ({"axis": 1}, "axis=1", True),
        ({"axis": 1}, "axis=0", False),
        ({"axis": 1}, "", False),
        ({"alpha": 0.2}, "alpha=0.2", True),
        ({"alpha": 0.2}, "alpha=0.3", False),
        ({"mode": "edge"}, 'mode="edge"', True),
        ({"mode": "edge"}, 'mode="wrap"', False),
        ({"perm": (1, 0)}, "perm=[1, 0]", True),
        ({"perm": [1, 0]}, "perm=[0, 1]", False),
        ({"perm": [1, 0]}, "", False),
        ({"perm": [1, 0]}, "perm=1", False),
        ({}, "perm=[0, 1]", True),
    ],
)
def test_equal_attributes(wanted: dict[str, AttrValue], attributes: str, fits: bool) -> None:
    class Wanted(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.Some(x, _domain="test", **wanted)

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    braced = f"<{attributes}>" if attributes else ""
    text = f"(float[4] x) => (float[4] y) {{ y = test.Some{braced}(x) }}"
    assert matches(text, Wanted) is fits


class Bound(Rule):
    """One attribute that must be there, one that has a default."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Some(x, _domain="test", axis=Attr("axis"), mode=Attr("mode", "plain"))

    def rewrite(self, op: Builder, x: Operand, axis: int, mode: str) -> object:
        return op.node(f"{mode}{axis}", [x], domain="test").outputs[0]


@pytest.mark.parametrize(
    ("attributes", "found"),
    [('axis=3, mode="odd"', "odd3"), ("axis=2", "plain2"), ('mode="odd"', "Some")],
)
def test_attributes_are_bound_by_name(attributes: str, found: str) -> None:
    text = f"(float[4] x) => (float[4] y) {{ y = test.Some<{attributes}>(x) }}"
    assert left(rewrite(text, Bound)) == [found]


def test_an_attribute_bound_twice_has_one_value() -> None:
    class Same(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            first = op.Softmax(x, axis=Attr("axis", -1))
            return op.LogSoftmax(first, axis=Attr("axis", -1))

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    graph = "(float[4,4] x) => (float[4,4] y) {{ a = Softmax{}(x) y = LogSoftmax{}(a) }}"
    assert matches(graph.format("<axis=0>", "<axis=0>"), Same)
    assert matches(graph.format("<axis=-1>", ""), Same)
    assert not matches(graph.format("<axis=0>", "<axis=1>"), Same)


def test_attributes_of_a_function_that_its_caller_sets_do_not_match() -> None:
    class Leaky(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.LeakyRelu(x, alpha=Attr("alpha", 0.01))

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    text = """(float[4] x) => (float[4] y) { y = local.leaky<slope=0.2>(x) }
        <domain: "local", opset_import: ["" : 18]>
        leaky <slope> (x) => (y) { y = LeakyRelu<alpha: float = @slope>(x) }"""
    assert left(rewrite(text, Leaky)) == ["LeakyRelu", "leaky"]


class OfSplit(Rule):
    """Outputs of one node, exchanged."""

    def pattern(self, op: PatternOps, x: Var) -> tuple[Output | Op, ...]:
        split = op.Split(x)
        return op.Exp(split.output(1)), op.Sin(split)

    def rewrite(self, op: Builder, x: Operand) -> object:
        return op.One(x, _domain="test"), op.Two(x, _domain="test")


def test_two_roots_on_two_outputs_of_a_node() -> None:
    graph = """(float[4] x) => (float[2] y, float[2] z) {{
        a, b = Split<num_outputs=2>(x) y = Exp({}) z = Sin({}) }}"""
    model = rewrite(graph.format("b", "a"), OfSplit)
    assert left(model) == ["One", "Two"]
    assert [value.name for value in model.graph.outputs] == ["y", "z"]
    assert [node.outputs[0].name for node in model.graph] == ["y", "z"]
    assert left(rewrite(graph.format("a", "b"), OfSplit)) == ["Exp", "Sin", "Split"]


def test_two_roots_replace_all_outputs_of_one_node() -> None:
    class Exchange(Rule):
        def pattern(self, op: PatternOps, x: Var) -> tuple[Output | Op, ...]:
            split = op.Split(x)
            return split.output(0), split.output(1)

        def rewrite(self, op: Builder, x: Operand) -> object:
            made = op.node("Parts", [x], domain="test", outputs=2)
            return tuple(made.outputs)

    text = """(float[4] x) => (float[2] y, float[2] z) {
        a, z = Split<num_outputs=2>(x) y = Exp(a) }"""
    model = rewrite(text, Exchange)
    assert left(model) == ["Exp", "Parts"]
    assert [value.name for value in model.graph.outputs] == ["y", "z"]


def test_a_root_whose_other_output_is_used_stays_and_is_left_alone() -> None:
    class First(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.Dropout(x)

        def rewrite(self, op: Builder, x: Operand) -> object:
            return x

    text = """(float[4] x) => (float[4] y, bool[4] mask) { a, mask = Dropout(x) y = Exp(a) }"""
    model = rewrite(text, First)
    assert left(model) == ["Dropout", "Exp"]
    reader = next(node for node in model.graph if node.op_type == "Exp")
    assert reader.inputs[0] is model.graph.inputs[0]


def test_a_second_root_is_found_through_any_shared_value() -> None:
    class Both(Rule):
        def pattern(self, op: PatternOps, x: Var, y: Var) -> tuple[Op, Op]:
            return op.Exp(x), op.Sin(x) * y

        def rewrite(self, op: Builder, x: Operand, y: Operand) -> object:
            return op.One(x, _domain="test"), op.Two(y, _domain="test")

    text = """(float[4] a, float[4] b) => (float[4] y, float[4] z) {
        y = Exp(a) other = Sin(b) s = Sin(a) z = Mul(b, s) }"""
    assert "One" not in left(rewrite(text, Both))

    class Near(Rule):
        def pattern(self, op: PatternOps, x: Var, y: Var) -> tuple[Op, Op]:
            return op.Exp(x), x * y

        def rewrite(self, op: Builder, x: Operand, y: Operand) -> object:
            return op.One(x, _domain="test"), op.Two(y, _domain="test")

    text = """(float[4] a, float[4] b) => (float[4] y, float[4] z) {
        c = Mul(b, a) z = Sin(c) y = Exp(a) }"""
    model = rewrite(text, Near)
    assert left(model) == ["One", "Sin", "Two"]
    assert [node.op_type for node in model.graph if node.op_type != "One"] == ["Two", "Sin"]


class Old(Rule):
    until: ClassVar[int] = 12

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Exp(x)

    def rewrite(self, op: Builder, x: Operand) -> object:
        return hit(op, x)


class New(Rule):
    since: ClassVar[int] = 13

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Exp(x)

    def rewrite(self, op: Builder, x: Operand) -> object:
        return op.Newer(x, _domain="test")


@pytest.mark.parametrize(
    ("opset", "found"), [(9, "Hit"), (12, "Hit"), (13, "Newer"), (20, "Newer")]
)
def test_versions(opset: int, found: str) -> None:
    model = model_of("(float[4] x) => (float[4] y) { y = Exp(x) }", opset=opset)
    assert left(rewrite(model, Old, New)) == [found]


def test_a_function_counts_by_the_versions_it_imports() -> None:
    text = """(float[4] x) => (float[4] y) { a = Exp(x) y = local.inner(a) }
        <domain: "local", opset_import: ["" : 12]> inner (x) => (y) { y = Exp(x) }"""
    assert left(rewrite(text, Old, New)) == ["Hit", "Newer", "inner"]


def test_domains() -> None:
    class Theirs(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.Exp(x, _domain="theirs")

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    graph = "(float[4] x) => (float[4] y) {{ y = {}(x) }}"
    assert matches(graph.format("theirs.Exp"), Theirs)
    assert not matches(graph.format("Exp"), Theirs)
    assert not matches(graph.format("theirs.Exp"), New)
    assert left(rewrite(graph.format("ai.onnx.Exp"), New)) == ["Newer"]


def test_operators_that_the_target_must_have() -> None:
    class Needs(Rule):
        needs: ClassVar[tuple[str, ...]] = ("test::Hit",)

        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.Exp(x)

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    text = "(float[4] x) => (float[4] y) { y = Exp(x) }"
    there = frozenset({"test::Hit", "test::Other"})
    has = dataclasses.replace(GENERIC, probe_operators=lambda: there)
    assert left(rewrite(text, Needs)) == ["Exp"]
    model = rewrite(text, Needs, context=Context(target=has))
    assert left(model) == ["Hit"]
    assert model.opset_imports["test"] == 1
