"""What a glance rules out, no match finds."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from onnxopt import catalogue, graph
from onnxopt.base import Context
from onnxopt.io import from_proto
from onnxopt.rewrite import Builder, Decline, RulePass
from onnxopt.rewrite.engine import NamedRule
from onnxopt.rewrite.glance import fed, makers, possible
from onnxopt.rewrite.match import match
from onnxopt.shapes import infer
from tests.contract.graphs import graphs
from tests.passes.tools import model_of

GRAPHS = graphs()


def rules() -> list[NamedRule]:
    """Return the rules of all passes that are made of some."""
    kinds = [catalogue.find_pass(name) for name in catalogue.passes()]
    return [rule for kind in kinds if issubclass(kind, RulePass) for rule in kind.rules]


def roots(model: ir.Model, named: NamedRule) -> list[ir.Node]:
    """Return the nodes at which a rule may start."""
    root = named.rule.root
    nodes = (node for home in graph.graphs(model) for node in home)
    return [n for n in nodes if n.domain == root.domain and n.op_type in root.op_types]


def test_no_match_is_lost() -> None:
    found = ruled_out = 0
    for proto in GRAPHS.values():
        model = from_proto(proto)
        infer(model)
        for named in rules():
            for node in roots(model, named):
                may = possible(named.rule, node, makers(node))
                matched = match(named.rule, node) is not None
                assert may or not matched, (named.name, node.name)
                found += matched
                ruled_out += not may
    assert found > 100
    assert ruled_out > 1000


def test_what_does_not_read_declines() -> None:
    declined: set[str] = set()
    reading = [named for named in rules() if named.rule.reads]
    for proto in GRAPHS.values():
        model = from_proto(proto)
        infer(model)
        names = graph.Names(model)
        for named in reading:
            for node in roots(model, named):
                found = match(named.rule, node)
                if found is None or node.graph is None or fed(named.rule, makers(node)):
                    continue
                builder = Builder(Context(), model.graph, graph.opset(model), names, "new")
                with pytest.raises(Decline):
                    named.rule.apply(builder, node, found)
                builder.drop()
                declined.add(named.name)
    assert declined == {named.name for named in reading}


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ("c = Constant<value_float=1.0>() y = Add(x, c)", ["", "Constant"]),
        ("y = Add(x, w)", ["", "="]),
        ("a = Exp(x) y = Clip(a, , w)", ["Exp", None, "="]),
    ],
)
def test_what_makes_the_inputs(given: str, kinds: list[str | None]) -> None:
    model = model_of(f"(float[1] x) => (float[1] y) <float[1] w = {{2.0}}> {{ {given} }}")
    node = model.graph.outputs[0].producer()
    assert node is not None
    assert [maker and maker[1] for maker in makers(node)] == kinds
