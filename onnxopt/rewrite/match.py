"""Matching a pattern against a graph, backwards from a node, with backtracking."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import COMMUTATIVE
from onnxopt.rewrite.pattern import Attr, Const, Either, Node, Number, Op, Opt, Output, Rest, Var
from onnxopt.rewrite.rule import Match, Rule

Operand = ir.Value | tuple[ir.Value | None, ...] | None
Goal = tuple[Node, Operand]

_TOLERANCE = {np.dtype(np.float16): 1e-3}


def match(rule: Rule, root: ir.Node) -> Match | None:
    """Return how a rule's pattern matches at a node, or None."""
    first = rule.outputs[0]
    value = _output(first, root)
    found = None if value is None else _solve_op(first, value, (), Match(), root.graph)
    if found is not None and len(rule.outputs) > 1:
        found = _further_roots(rule, found, root)
    if found is None or not (rule.shared or len(found.nodes) == 1 or _closed(rule, found)):
        return None
    return found


def _output(pattern: Op | Output, node: ir.Node) -> ir.Value | None:
    index = pattern.index if isinstance(pattern, Output) else 0
    return node.outputs[index] if index < len(node.outputs) else None


def _further_roots(rule: Rule, state: Match, root: ir.Node) -> Match | None:
    """Match the remaining outputs at nodes that read a value matched already."""
    for output in rule.outputs[1:]:
        op = output.op if isinstance(output, Output) else output
        if id(op) in state.nodes:
            if _output(output, state.nodes[id(op)]) is None:
                return None
            continue
        found = None
        for node in _readers(state, op):
            found = _solve(((output, _output(output, node)),), state.copy(), root.graph)
            if found is not None:
                break
        if found is None:
            return None
        state = found
    return state


def _readers(state: Match, op: Op) -> Iterator[ir.Node]:
    seen: set[ir.Node] = set(state.nodes.values())
    sources = [value for node in state.nodes.values() for value in node.inputs]
    for value in [*sources, *(v for node in state.nodes.values() for v in node.outputs)]:
        if value is None:
            continue
        for user in value.consumers():
            if user not in seen and user.op_type in op.op_types:
                seen.add(user)
                yield user


def _closed(rule: Rule, state: Match) -> bool:
    """Return whether only matched nodes read the values inside the match."""
    roots = {id(o.op if isinstance(o, Output) else o) for o in rule.outputs}
    nodes = set(state.nodes.values())
    for pattern, node in state.nodes.items():
        if pattern in roots:
            continue
        for value in node.outputs:
            if value.is_graph_output() or any(use.node not in nodes for use in value.uses()):
                return False
    return True


def _solve(goals: tuple[Goal, ...], state: Match, home: ir.Graph | None) -> Match | None:
    """Match every goal in order; return the bindings, or None, and then ``state`` is spoilt."""
    for at, (pattern, value) in enumerate(goals, 1):
        if isinstance(pattern, Var):
            if not _bind(pattern, value, state):
                return None
        elif isinstance(pattern, Number):
            if not isinstance(value, ir.Value) or not _is_number(value, pattern.value):
                return None
        elif isinstance(pattern, Either):
            options = ((option, value) for option in pattern.options)
            return _first(options, goals[at:], state, home)
        elif isinstance(value, ir.Value):
            return _solve_op(pattern, value, goals[at:], state, home)
        else:
            return None
    return state


def _first(
    options: Iterator[Goal], goals: tuple[Goal, ...], state: Match, home: ir.Graph | None
) -> Match | None:
    for option in options:
        found = _solve((option, *goals), state.copy(), home)
        if found is not None:
            return found
    return None


def _solve_op(
    pattern: Node, value: ir.Value, goals: tuple[Goal, ...], state: Match, home: ir.Graph | None
) -> Match | None:
    op, index = (pattern.op, pattern.index) if isinstance(pattern, Output) else (pattern, 0)
    node = value.producer()
    if not isinstance(op, Op) or node is None or value.index() != index:
        return None
    if id(op) in state.nodes:
        return _solve(goals, state, home) if state.nodes[id(op)] is node else None
    if node.op_type not in op.op_types or node.domain != op.domain or node.graph is not home:
        return None
    orders = [order for order in _orders(op, node) if _plausible(order, node)]
    if not orders or (op.attributes and not _attributes(op, node, state)):
        return None
    state.nodes[id(op)] = node
    if op.name is not None:
        state.values[op.name] = node.outputs[0]
    for operands in orders:
        tried = state.copy() if len(orders) > 1 else state
        found = _solve((*operands, *goals), tried, home)
        if found is not None:
            return found
    return None


def _plausible(goals: tuple[Goal, ...], user: ir.Node) -> bool:
    """Return whether the operators one step further back are right, before anything is bound."""
    for pattern, value in goals:
        if isinstance(pattern, Var):
            if isinstance(pattern, Const) and not _is_constant(value):
                return False
            continue
        op = pattern.op if isinstance(pattern, Output) else pattern
        if isinstance(op, Op):
            node = value.producer() if isinstance(value, ir.Value) else None
            if node is None or node.op_type not in op.op_types or node.graph is not user.graph:
                return False
        elif isinstance(op, Number) and isinstance(value, ir.Value) and _enlarges(value, user):
            return False
    return True


def _enlarges(number: ir.Value, user: ir.Node) -> bool:
    """Return whether broadcasting with a constant of one number may give a larger shape.

    A pattern's numbers have no shape, and what takes their place is as large as the rest.
    """
    found = graph.tensor(number)
    shape = () if found is None else found.shape.numpy()
    if shape in ((), (1,)):
        return False
    others = [value for value in user.inputs if value is not None and value is not number]
    if set(shape) == {1}:
        return not any((graph.rank(other) or 0) >= len(shape) for other in others)
    return not any(graph.same_shape(other, user.outputs[0]) for other in others)


def _orders(op: Op, node: ir.Node) -> list[tuple[Goal, ...]]:
    """Return the ways in which a node's inputs can be laid against a pattern's."""
    commute = (node.domain, node.op_type) in COMMUTATIVE
    return orders(op, tuple(node.inputs), commute=commute)


def orders(op: Op, values: tuple[Any, ...], *, commute: bool) -> list[tuple[Any, ...]]:
    """Return the ways in which what stands for a node's inputs can be laid against a pattern's."""
    patterns = op.inputs
    if patterns and isinstance(patterns[-1], Rest):
        fixed = len(patterns) - 1
        head = values[:fixed] + (None,) * (fixed - len(values))
        return [tuple(zip(patterns, (*head, values[fixed:]), strict=True))]
    while values and values[-1] is None:
        values = values[:-1]
    if len(values) > len(patterns):
        return []
    values += (None,) * (len(patterns) - len(values))
    found = [tuple(zip(patterns, values, strict=True))]
    if commute and len(values) == 2:
        found.append(tuple(zip(patterns, values[::-1], strict=True)))
    return found


def _attributes(op: Op, node: ir.Node, state: Match) -> bool:
    for name, wanted in op.attributes.items():
        attribute = node.attributes.get(name)
        if attribute is not None and attribute.is_ref():
            return False
        found = None if attribute is None else attribute.value
        if isinstance(wanted, Attr):
            found = wanted.default if found is None else found
            if found is None or not _equal(state.values.setdefault(wanted.name, found), found):
                return False
        elif not _equal(wanted, found):
            return False
    return True


def _equal(wanted: Any, found: Any) -> bool:
    """Compare attributes; a file holds numbers in float32, a pattern Python's."""
    if isinstance(wanted, float) and isinstance(found, float):
        return math.isclose(wanted, found, rel_tol=1e-6)
    if isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
        return len(wanted) == len(found) and all(map(_equal, wanted, found))
    return bool(wanted == found)


def _bind(variable: Var, value: Operand, state: Match) -> bool:
    if variable.name in state.values:
        return state.values[variable.name] is value
    if value is None and not isinstance(variable, Opt):
        return False
    if isinstance(variable, Const) and not _is_constant(value):
        return False
    state.values[variable.name] = value
    return True


def _is_constant(value: Operand) -> bool:
    return isinstance(value, ir.Value) and graph.tensor(value) is not None


def _is_number(value: ir.Value, wanted: float) -> bool:
    found = graph.array(value, at_most=4096)
    if found is None or found.size == 0 or found.dtype.kind not in "fiub":
        return False
    tolerance = _TOLERANCE.get(found.dtype, 1e-6) if found.dtype.kind == "f" else 0.0
    close = math.isclose(float(found.flat[0]), wanted, rel_tol=tolerance)
    return close and (found.size == 1 or bool(np.all(found == found.flat[0])))
