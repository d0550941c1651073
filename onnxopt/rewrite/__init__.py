"""The rewriting engine: patterns written as ONNX expressions, matched and replaced."""

from onnxopt.rewrite.builder import Builder
from onnxopt.rewrite.engine import RulePass
from onnxopt.rewrite.pattern import Attr, Const, Either, Op, Opt, PatternOps, Rest, Var
from onnxopt.rewrite.rule import Decline, Match, Rule

__all__ = [
    "Attr",
    "Builder",
    "Const",
    "Decline",
    "Either",
    "Match",
    "Op",
    "Opt",
    "PatternOps",
    "Rest",
    "Rule",
    "RulePass",
    "Var",
]
