"""The cost of rewriting is linear: counted in matches that are tried, not in seconds."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import pytest

from onnxopt.base import Context
from onnxopt.rewrite import Attr, Op, PatternOps, Rule, Var, engine
from onnxopt.rewrite.builder import Builder, Operand
from onnxopt.rewrite.match import match
from onnxopt.rewrite.rule import Match
from tests.core.rules import rule_pass


class NoNeg(Rule):
    """``Neg(Neg(x))`` becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Neg(op.Neg(x))

    def rewrite(self, op: Builder, x: Operand) -> object:
        return x


class NoIdentity(Rule):
    """``Identity(x)`` becomes ``x``."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Identity(x)

    def rewrite(self, op: Builder, x: Operand) -> object:
        return x


class Merge(Rule):
    """Two shifts become one that replaces them."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        inner = op.Shift(x, _domain="test", by=Attr("a"))
        return op.Shift(inner, _domain="test", by=Attr("b"))

    def rewrite(self, op: Builder, x: Operand, a: int, b: int) -> object:
        return op.Shift(x, _domain="test", by=a + b)


class Never(Rule):
    """Matches nowhere in these graphs."""

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return -op.Exp(x)

    def rewrite(self, op: Builder, x: Operand) -> object:
        return x


def model_of(x: ir.Value, nodes: list[ir.Node], y: ir.Value) -> ir.Model:
    home = ir.Graph([x], [y], nodes=nodes, opset_imports={"": 18, "test": 1}, name="g")
    return ir.Model(home, ir_version=10)


def chain(length: int, domain: str, op_type: str) -> ir.Model:
    x = value = ir.val("x", ir.DataType.FLOAT, [4])
    nodes = []
    for at in range(length):
        by = {"by": 1} if domain else {}
        nodes.append(ir.node(op_type, [value], by, domain=domain, name=f"n{at}"))
        value = nodes[-1].outputs[0]
        value.name, value.type, value.shape = f"v{at}", x.type, x.shape
    return model_of(x, nodes, value)


def hub(length: int, domain: str, op_type: str) -> ir.Model:
    """Give one value many readers, each with a reader of its own, and add all up."""
    x = ir.val("x", ir.DataType.FLOAT, [4])
    middle = ir.node("Exp", [x], name="middle")
    nodes, total = [middle], x
    for at in range(length):
        first = ir.node(op_type, [middle.outputs[0]], domain=domain, name=f"a{at}")
        second = ir.node("Neg", [first.outputs[0]], name=f"b{at}")
        last = ir.node("Add", [total, second.outputs[0]], name=f"c{at}")
        nodes += [first, second, last]
        total = last.outputs[0]
    for number, node in enumerate(nodes):
        out = node.outputs[0]
        out.name, out.type, out.shape = f"v{number}", x.type, x.shape
    return model_of(x, nodes, total)


def tried(monkeypatch: pytest.MonkeyPatch, model: ir.Model, *kinds: type[Rule]) -> tuple[int, int]:
    """Return how many rewrites were made, and matches tried."""
    count = 0

    def counted(rule: Rule, root: ir.Node) -> Match | None:
        nonlocal count
        count += 1
        return match(rule, root)

    monkeypatch.setattr(engine, "match", counted)
    return rule_pass(*kinds).run(model, Context()), count


@pytest.mark.parametrize(
    ("make", "domain", "op_type", "rules", "share"),
    [
        (chain, "", "Neg", [NoNeg], 0.5),
        (chain, "", "Identity", [NoIdentity], 1.0),
        (chain, "test", "Shift", [Merge], 1.0),
        (chain, "", "Neg", [Never], 0.0),
        (hub, "", "Identity", [NoIdentity, Never], 1.0),
        (hub, "", "Neg", [NoNeg], 1.0),
        (hub, "", "Relu", [Never], 0.0),
    ],
)
def test_twice_the_nodes_take_twice_the_matches(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[int, str, str], ir.Model],
    domain: str,
    op_type: str,
    rules: list[type[Rule]],
    share: float,
) -> None:
    changes, few = tried(monkeypatch, make(200, domain, op_type), *rules)
    _, many = tried(monkeypatch, make(400, domain, op_type), *rules)
    assert abs(changes - share * 200) <= 1
    assert many <= 2.3 * few
    assert few <= 8 * 200
