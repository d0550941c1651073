"""Extents that inner nodes compute, read in one way from the first value that has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import onnx_ir as ir

from onnxopt import graph, shapes
from onnxopt.base import Context, Pass
from onnxopt.passes import _extents
from onnxopt.passes._extents import Made, Numbers, Plan, Read
from onnxopt.rewrite import Builder
from onnxopt.shapes import Dim
from onnxopt.shapes.dim import Atom

_SINCE = 15
"""The operator set in which Shape got a start and an end."""
_LONGEST = 8
"""Items of a tensor that is taken for a shape, or a part of one."""
_MOST_TERMS = 3
"""Summands of an extent that is worked out from others."""

_Item: TypeAlias = int | Dim


class ReadExtents(Pass):
    """Build integers that are extents in one way, wherever exporters took them from.

    A tensor of extents becomes ``Shape(x, start, end)`` of the first value that has them: an input
    of the model, or else a value that several nodes read already; several become a Concat, a
    polynomial its terms in one order, a scalar a Squeeze. What was computed only to be measured has
    no reader then.
    """

    def run(self, model: ir.Model, context: Context) -> int:
        """Rewrite the main graph; return how many tensors were replaced."""
        if graph.opset(model) < _SINCE or not any(map(_measures, model.graph)):
            return 0
        reading = _Reading(model, context)
        for value in model.graph.inputs:
            reading.offer(value)
        for node in list(model.graph):
            reading.look(node)
        graph.remove_dead(reading.replaced)
        return len(reading.replaced)


class _Reading:
    """One walk through a graph: where extents are found, and what is built already."""

    def __init__(self, model: ir.Model, context: Context) -> None:
        self.home = model.graph
        self.opset = graph.opset(model)
        self.context = context
        self.names = graph.Names(model)
        self.memo = shapes.analyse(model).memo
        self.places: dict[Dim, tuple[ir.Value, int]] = {}
        self.alone: dict[Atom, tuple[ir.Value, int]] = {}
        self.made: dict[Plan, ir.Value] = {}
        self.replaced: list[ir.Node] = []

    def offer(self, value: ir.Value) -> None:
        """Note the axes of a value whose extents no earlier one has."""
        if isinstance(value.type, ir.SequenceType | ir.OptionalType):
            return
        for axis, extent in enumerate(shapes.symbolic_shape(value, self.memo) or ()):
            if isinstance(extent, Dim):
                self.places.setdefault(extent, (value, axis))
                atom = extent.atom()
                if atom is not None:
                    self.alone.setdefault(atom, (value, axis))

    def look(self, node: ir.Node) -> None:
        """Replace a node that computes extents in its own way, then offer what it makes."""
        value = node.outputs[0] if len(node.outputs) == 1 else None
        plan = None if value is None else self.plan(value)
        if value is not None and plan is not None:
            if plan not in self.made and _extents.is_built(value, plan, self.made):
                self.made[plan] = value
            elif self.made.get(plan) is not value and self.is_wanted(value, node, plan):
                self.replace(value, node, plan)
        for output in node.outputs:
            if len(set(output.consumers())) > 1 or any(map(_measures, output.consumers())):
                self.offer(output)

    def plan(self, value: ir.Value) -> Plan | None:
        """Return how a tensor of extents is built; None for any other and for constants."""
        shape = shapes.symbolic_shape(value, self.memo)
        if value.dtype != ir.DataType.INT64 or shape is None or len(shape) > 1:
            return None
        items = shapes.symbolic_value(value, self.memo)
        if items is None or len(items) > _LONGEST or all(isinstance(item, int) for item in items):
            return None
        found = list(self.parts(items))
        parts = tuple(part for part in found if part is not None)
        if len(parts) < len(found):
            return None
        joined = parts[0] if len(parts) == 1 else Made("Concat", parts)
        return joined if shape else Made("Squeeze", (joined,))

    def parts(self, items: tuple[_Item, ...]) -> Iterator[Plan | None]:
        """Yield plans for runs of items: numbers, extents beside one another, others singly."""
        start = 0
        while start < len(items):
            end = start + 1
            first = items[start]
            while end < len(items) and self.follows(items[end], first, end - start):
                end += 1
            if isinstance(first, Dim):
                yield self.read(first, end - start)
            else:
                yield Numbers(tuple(item for item in items[start:end] if isinstance(item, int)))
            start = end

    def follows(self, item: _Item, first: _Item, steps: int) -> bool:
        """Return whether both are numbers, or one the extent so many axes behind the other."""
        if not isinstance(first, Dim) or not isinstance(item, Dim):
            return isinstance(first, int) and isinstance(item, int)
        source, axis = self.places.get(first, (None, 0))
        return source is not None and self.places.get(item) == (source, axis + steps)

    def read(self, first: Dim, count: int) -> Plan | None:
        """Return how so many extents are read, worked out, or else read inside of the graph."""
        source, axis = self.places.get(first, (None, 0))
        inside = source is None or not source.is_graph_input()
        worked_out = self.polynomial(first) if inside and count == 1 else None
        if worked_out is not None:
            return worked_out
        return None if source is None else Read(source, axis, axis + count)

    def polynomial(self, size: Dim) -> Plan | None:
        """Return the sum of products that a size is; None where it is more than that."""
        total: Plan | None = None
        if len(size.terms) > _MOST_TERMS:
            return None
        for monomial, factor in size.terms:
            factors: list[Plan] = []
            for atom, power in monomial:
                if atom not in self.alone:
                    return None
                source, axis = self.alone[atom]
                factors += [Read(source, axis, axis + 1)] * power
            if factor != 1 or not factors:
                factors.append(Numbers((factor,)))
            term = factors[0]
            for other in factors[1:]:
                term = Made("Mul", (term, other))
            total = term if total is None else Made("Add", (total, term))
        return total

    def is_wanted(self, value: ir.Value, node: ir.Node, plan: Plan) -> bool:
        """Return whether a node reads a value for anything but to compute other extents.

        A Shape that would become several nodes stays where what it measures does.
        """
        several = isinstance(plan, Made) and plan.op_type == "Concat"
        if several and _measures(node) and not _only_measured(node.inputs[0]):
            return False
        if value.is_graph_output():
            return True
        return any(self.plan(out) is None for user in value.consumers() for out in user.outputs)

    def replace(self, value: ir.Value, node: ir.Node, plan: Plan) -> None:
        """Build a plan, or take what is built of it, in place of a value."""
        op = Builder(self.context, self.home, self.opset, self.names, value.name or "extents")
        made = dict(self.made)
        new = _extents.build(op, plan, made)
        fresh = new.producer() in op.nodes
        allowed = fresh or graph.replaceable(value, new)
        if not allowed or not self.context.gate.permit(ReadExtents.name, value.name or ""):
            op.drop()
            return
        op.keep(node)
        self.made = made
        graph.replace(value, new, fresh=fresh)
        self.replaced.append(node)


def _measures(node: ir.Node) -> bool:
    return node.op_type == "Shape" and not node.domain


def _only_measured(value: ir.Value | None) -> bool:
    """Return whether a value is computed and read for its shape alone."""
    if value is None or value.producer() is None or value.is_graph_output():
        return False
    return all(map(_measures, value.consumers()))
