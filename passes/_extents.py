"""How a tensor of extents is put together: as a plan that can be compared and built."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.rewrite import Builder


@dataclasses.dataclass(frozen=True)
class Numbers:
    """A constant."""

    items: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Read:
    """``Shape(source)`` from one axis to before another."""

    source: ir.Value
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Made:
    """An operator (Add, Concat, Mul, Squeeze) over other plans."""

    op_type: str
    parts: tuple[Plan, ...]


Plan: TypeAlias = Numbers | Read | Made


def is_built(value: ir.Value, plan: Plan, made: dict[Plan, ir.Value]) -> bool:
    """Return whether a value is built as a plan says; ``made`` are the ones for other plans."""
    if isinstance(plan, Numbers):
        return graph.ints(value) == plan.items
    if plan in made:
        return made[plan] is value
    node = value.producer()
    if node is None or node.domain:
        return False
    if isinstance(plan, Read):
        spans = node.op_type == "Shape" and _span(node) == (plan.start, plan.end)
        return spans and node.inputs[0] is plan.source
    if node.op_type != plan.op_type or len(node.inputs) != len(plan.parts):
        return False
    pairs = zip(node.inputs, plan.parts, strict=True)
    return all(operand is not None and is_built(operand, part, made) for operand, part in pairs)


def build(op: Builder, plan: Plan, made: dict[Plan, ir.Value]) -> ir.Value:
    """Return the value of a plan; what is built for it, its parts too, is noted in ``made``."""
    if isinstance(plan, Numbers):
        return op.constant(np.array(plan.items, dtype=np.int64))
    if plan not in made:
        made[plan] = _new(op, plan, made)
    return made[plan]


def _new(op: Builder, plan: Read | Made, made: dict[Plan, ir.Value]) -> ir.Value:
    if isinstance(plan, Read):
        if (plan.start, plan.end) == (0, graph.rank(plan.source)):
            return op.Shape(plan.source)
        return op.Shape(plan.source, start=plan.start, end=plan.end)
    axis = 0 if plan.op_type == "Concat" else None
    inputs = [build(op, part, made) for part in plan.parts]
    return op.node(plan.op_type, inputs, {"axis": axis}).outputs[0]


def _span(node: ir.Node) -> tuple[int, int]:
    """Return the axes that a Shape tells the extents of, from the first to before the last."""
    rank = graph.rank(node.inputs[0]) or 0
    start, end = graph.attr_int(node, "start", 0), graph.attr_int(node, "end", rank)
    first, last, _ = slice(start, end).indices(rank)
    return first, last
