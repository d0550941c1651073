"""What a pattern matches, and what it must not."""

from __future__ import annotations

import pytest

from onnxopt.rewrite import Const, Either, Op, Opt, PatternOps, Rest, Rule, Var
from onnxopt.rewrite.builder import Builder, Operand
from tests.core.rules import left, matches, rewrite
from tests.passes.tools import model_of

Found = tuple[object, ...]


def hit(op: Builder, *inputs: Operand) -> object:
    """Build the node that says where a rule applied."""
    return op.Hit(*inputs, _domain="test")


class Nested(Rule):
    """The operand that decides lies two commutative operators deep."""

    def pattern(self, op: PatternOps, x: Var, y: Var) -> Op:
        return (x + op.Exp(y)) * op.Relu(y)

    def rewrite(self, op: Builder, x: Operand, y: Operand) -> object:
        return hit(op, x, y)


@pytest.mark.parametrize("product", ["s, r", "r, s"])
@pytest.mark.parametrize("total", ["a, e", "e, a"])
def test_commutative_operands_in_any_order(product: str, total: str) -> None:
    text = f"""(float[4] a, float[4] b) => (float[4] y) {{
        e = Exp(b) r = Relu(b) s = Add({total}) y = Mul({product}) }}"""
    assert left(rewrite(text, Nested)) == ["Hit"]


class Twice(Rule):
    """Both operands of the sum fit ``Exp``; only one order makes ``x`` the same twice."""

    def pattern(self, op: PatternOps, x: Var, y: Var) -> Op:
        return (op.Exp(x) + op.Exp(y)) * op.Relu(x)

    def rewrite(self, op: Builder, x: Operand, y: Operand) -> object:
        return hit(op, x, y)


@pytest.mark.parametrize("total", ["e, f", "f, e"])
@pytest.mark.parametrize("product", ["s, r", "r, s"])
def test_a_wrong_choice_is_taken_back(total: str, product: str) -> None:
    text = f"""(float[4] a, float[4] b) => (float[4] y) {{
        e = Exp(a) f = Exp(b) r = Relu(b) s = Add({total}) y = Mul({product}) }}"""
    model = rewrite(text, Twice)
    assert left(model) == ["Hit"]
    assert [value and value.name for value in model.graph[0].inputs] == ["b", "a"]


def test_a_variable_stands_for_one_value() -> None:
    text = """(float[4] a, float[4] b, float[4] c) => (float[4] y) {
        e = Exp(a) f = Exp(b) r = Relu(c) s = Add(e, f) y = Mul(s, r) }"""
    assert not matches(text, Twice)


def test_operands_that_do_not_commute_stay_in_order() -> None:
    class Difference(Rule):
        def pattern(self, op: PatternOps, x: Var, y: Var) -> Op:
            return op.Exp(x) - y

        def rewrite(self, op: Builder, x: Operand, y: Operand) -> object:
            return hit(op, x, y)

    graph = "(float[4] a, float[4] b) => (float[4] y) {{ e = Exp(a) y = Sub({}) }}"
    assert matches(graph.format("e, b"), Difference)
    assert not matches(graph.format("b, e"), Difference)


class Halved(Rule):
    """A constant by its value."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return x * 0.5

    def rewrite(self, op: Builder, x: Operand) -> object:
        return hit(op, x)


class AddsTwo(Rule):
    """A constant by its value, a whole number."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return x + 2

    def rewrite(self, op: Builder, x: Operand) -> object:
        return hit(op, x)


@pytest.mark.parametrize(
    ("kind", "rule", "constant", "fits"),
    [
        ("float", Halved, "float {0.5}", True),
        ("float", Halved, "float[1] {0.5}", True),
        ("float", Halved, "float[4] {0.5, 0.5, 0.5, 0.5}", True),
        ("float", Halved, "float[4] {0.5, 0.5, 0.5, 0.4}", False),
        ("float", Halved, "float {0.50001}", False),
        ("float", Halved, "float[1] {nan}", False),
        ("float16", Halved, "float16 {14336}", True),
        ("float16", Halved, "float16 {14400}", False),
        ("double", Halved, "double {0.5}", True),
        ("int64", AddsTwo, "int64 {2}", True),
        ("int32", AddsTwo, "int32[4] {2, 2, 2, 2}", True),
        ("int64", AddsTwo, "int64 {3}", False),
        ("float", AddsTwo, "float {2}", True),
    ],
)
def test_constants_by_value(kind: str, rule: type[Rule], constant: str, fits: bool) -> None:
    op = "Mul" if rule is Halved else "Add"
    text = (
        f"({kind}[4] x) => ({kind}[a,b] y) {{ c = Constant<value = {constant}>() y = {op}(x, c) }}"
    )
    assert matches(text, rule) is fits


def test_large_whole_numbers_are_compared_exactly() -> None:
    class Large(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return x + 10_000_000

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    text = "(int64 x) => (int64 y) {{ c = Constant<value = int64 {{{}}}>() y = Add(x, c) }}"
    assert matches(text.format(10_000_000), Large)
    assert not matches(text.format(10_000_001), Large)


def test_a_default_of_an_input_is_no_constant() -> None:
    model = model_of(
        "(float[4] x, float[1] c) => (float[4] y) <float[1] c = {0.5}> { y = Mul(x, c) }"
    )
    assert model.graph.inputs[1].is_initializer()
    assert left(rewrite(model, Halved)) == ["Mul"]


class Clipped(Rule):
    """Two inputs that may be absent."""

    def pattern(self, op: PatternOps, x: Var, low: Opt, high: Opt) -> Op:
        return op.Clip(x, low, high)

    def rewrite(self, op: Builder, x: Operand, low: Operand, high: Operand) -> object:
        return op.node(f"Hit{int(low is not None)}{int(high is not None)}", [x], domain="t").outputs


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ("x", "Hit00"),
        ("x, a", "Hit10"),
        ("x, , a", "Hit01"),
        ("x, a, b", "Hit11"),
        ("x,,", "Hit00"),
    ],
)
def test_inputs_that_may_be_absent(inputs: str, found: str) -> None:
    text = f"(float[4] x, float a, float b) => (float[4] y) {{ y = Clip({inputs}) }}"
    assert left(rewrite(text, Clipped)) == [found]


def test_a_plain_variable_wants_a_value() -> None:
    class Both(Rule):
        def pattern(self, op: PatternOps, x: Var, low: Var, high: Var) -> Op:
            return op.Clip(x, low, high)

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    graph = "(float[4] x, float a, float b) => (float[4] y) {{ y = Clip({}) }}"
    assert matches(graph.format("x, a, b"), Both)
    assert not matches(graph.format("x, , a"), Both)
    assert not matches(graph.format("x, a"), Both)


def test_more_inputs_than_the_pattern_has_do_not_match() -> None:
    class One(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.Clip(x)

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    graph = "(float[4] x, float a) => (float[4] y) {{ y = Clip({}) }}"
    assert matches(graph.format("x"), One)
    assert not matches(graph.format("x, a"), One)


@pytest.mark.parametrize(("inputs", "count"), [("a", 0), ("a, b", 1), ("a, b, b, a", 3)])
def test_rest_takes_all_further_inputs(inputs: str, count: int) -> None:
    class Joined(Rule):
        def pattern(self, op: PatternOps, x: Var, rest: Rest) -> Op:
            return op.Concat(x, rest)

        def rewrite(self, op: Builder, x: Operand, rest: tuple[Operand, ...]) -> object:
            return op.node(f"Hit{len(rest)}", [x, *rest], domain="t").outputs[0]

    text = f"(float[4] a, float[4] b) => (float[n] y) {{ y = Concat<axis=0>({inputs}) }}"
    assert left(rewrite(text, Joined)) == [f"Hit{count}"]


def test_either_tries_its_options_in_order() -> None:
    class Any(Rule):
        def pattern(self, op: PatternOps, x: Var, c: Const) -> Op:
            return op.Relu(Either(op.Exp(x) + c, op.Exp(x)))  # binds c in one option only

        def rewrite(self, op: Builder, x: Operand) -> object:
            return hit(op, x)

    graph = "(float[4] x) => (float[4] y) <float c = {{3}}> {{ e = Exp(x) {} }}"
    assert matches(graph.format("y = Relu(e)"), Any)
    assert matches(graph.format("s = Add(c, e) y = Relu(s)"), Any)
    assert not matches(graph.format("s = Add(x, e) y = Relu(s)"), Any)


def test_one_of_several_operators() -> None:
    class Any(Rule):
        def pattern(self, op: PatternOps, x: Var) -> Op:
            return op.one_of("Exp", "Log")(op.one_of("Sin", "Cos")(x))

        def rewrite(self, op: Builder, x: Operand, root: object) -> object:
            return hit(op, x)

    graph = "(float[4] x) => (float[4] y) {{ a = {}(x) y = {}(a) }}"
    assert matches(graph.format("Sin", "Exp"), Any)
    assert matches(graph.format("Cos", "Log"), Any)
    assert not matches(graph.format("Exp", "Sin"), Any)
