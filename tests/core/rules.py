"""Run rules that a test writes, and see what is left."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph, shapes
from onnxopt.base import Context
from onnxopt.rewrite import Rule, RulePass
from onnxopt.rewrite.engine import NamedRule
from tests.passes.tools import model_of


def rule_pass(*kinds: type[Rule]) -> RulePass:
    """Return a pass of some rules, each named after its class."""
    named = tuple(NamedRule(kind.__name__, kind()) for kind in kinds)
    made = type("Rules", (RulePass,), {"name": "rules", "rules": named})()
    assert isinstance(made, RulePass)
    return made


def rewrite(source: str | ir.Model, *kinds: type[Rule], context: Context | None = None) -> ir.Model:
    """Apply rules to a model, or the text of a graph, and return it."""
    model = model_of(source) if isinstance(source, str) else source
    shapes.infer(model)
    rule_pass(*kinds).run(model, context or Context())
    return model


def left(model: ir.Model) -> list[str]:
    """Return the operators of all graphs, sorted."""
    return sorted(node.op_type for home in graph.graphs(model) for node in home)


def matches(source: str, *kinds: type[Rule]) -> bool:
    """Return whether rules, which must make ``Hit`` nodes, apply anywhere in a graph."""
    return "Hit" in left(rewrite(source, *kinds))
