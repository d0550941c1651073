"""Which rules can match at a node at all, told from the operators that make what it reads."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.graph import tensor
from onnxopt.ops import COMMUTATIVE
from onnxopt.rewrite.match import orders
from onnxopt.rewrite.pattern import Const, Either, Node, Number, Op, Opt, Output, Rest
from onnxopt.rewrite.rule import Rule

Maker = tuple[str, str] | None
"""The operator that makes an input, by domain and name; None for an absent input."""

_STORED: Maker = ("", "=")
"""Stands for an initializer that is a constant."""

_GIVEN: Maker = ("", "")
"""Stands for an input of the graph, or what may be overridden."""


def makers(node: ir.Node) -> tuple[Maker, ...]:
    """Return what makes each of a node's inputs."""
    return tuple(map(_maker, node.inputs))


def _maker(value: ir.Value | None) -> Maker:
    if value is None:
        return None
    node = value.producer()
    if node is not None:
        return node.domain, node.op_type
    return _GIVEN if tensor(value) is None else _STORED


def fed(rule: Rule, made: Sequence[Maker]) -> bool:
    """Return whether one of the operators makes an input that the rule says it reads."""
    return not rule.reads or any(("", op_type) in made for op_type in rule.reads)


def possible(rule: Rule, node: ir.Node, made: Sequence[Maker]) -> bool:
    """Return whether the first step of a match can succeed; True is no promise."""
    commute = (node.domain, node.op_type) in COMMUTATIVE
    return any(
        all(_admits(pattern, maker) for pattern, maker in order)
        for order in orders(rule.root, tuple(made), commute=commute)
    )


def _admits(pattern: Node, maker: Maker) -> bool:
    match pattern:
        case Rest() | Opt():
            return True
        case Const() | Number():
            return maker in (_STORED, ("", "Constant"))
        case Either(options=options):
            return any(_admits(option, maker) for option in options)
        case Output(op=op):
            return _admits(op, maker)
        case Op():
            return maker is not None and maker[0] == pattern.domain and maker[1] in pattern.op_types
        case _:
            return maker is not None
