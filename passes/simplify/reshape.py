"""Operators that only change the shape, after one another."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify import _parts
from onnxopt.passes.simplify._facts import Extent, extents, reshape_target, target
from onnxopt.rewrite import Builder, Const, Decline, Op, PatternOps, Rest, Rule, Var

_VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


class ReshapeOfView(Rule):
    """``Reshape(view(x), target)`` becomes ``Reshape(x, target)``.

    A view is a Reshape, Flatten, Squeeze or Unsqueeze. A target that copies extents of the view
    (0) is written anew; one that is not constant stays where it cannot copy (``allowzero``).
    """

    since = 5
    shared = True

    def pattern(self, op: PatternOps, x: Var, shape: Var, rest: Rest) -> Op:
        return op.Reshape(op.one_of(*_VIEWS)(x, rest), shape)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, shape: ir.Value) -> ir.Value:
        found = graph.ints(shape)
        if found is not None and 0 not in found:
            return op.Reshape(x, shape)
        if graph.attr_int(root, "allowzero", 0):
            return op.Reshape(x, shape, allowzero=1)
        return op.Reshape(x, reshape_target(x, root.outputs[0]))


class SqueezeUnsqueeze(Rule):
    """``Squeeze(Unsqueeze(x, a), a)`` becomes ``x``, whatever the shape of ``x``."""

    shared = True

    def pattern(self, op: PatternOps, x: Var, inner: Rest, outer: Rest) -> Op:
        return op.Squeeze(op.Unsqueeze(x, inner, _name="y"), outer)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
        added = _parts.operand(_producer(y), 1, "axes")
        if added is None or added != _parts.operand(root, 1, "axes"):
            raise Decline("other axes")
        return x


class UnsqueezeUnsqueeze(Rule):
    """``Unsqueeze(Unsqueeze(x, a), b)`` becomes one Unsqueeze, for axes counted from the front."""

    shared = True

    def pattern(self, op: PatternOps, x: Var, inner: Rest, outer: Rest) -> Op:
        return op.Unsqueeze(op.Unsqueeze(x, inner, _name="y"), outer)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
        first = _parts.axes(_producer(y), 1, graph.rank(y))
        second = _parts.axes(root, 1, graph.rank(root.outputs[0]))
        if not first or not second:
            raise Decline("no axes")
        free = (axis for axis in range(len(first) + len(second) + max(first)) if axis not in second)
        kept = [axis for place, axis in enumerate(free) if place in first]
        return _parts.unsqueeze(op, x, tuple(sorted((*kept, *second))))


class SqueezeSqueeze(Rule):
    """``Squeeze(Squeeze(x, a), b)`` becomes one Squeeze, for axes counted from the front."""

    shared = True

    def pattern(self, op: PatternOps, x: Var, inner: Rest, outer: Rest) -> Op:
        return op.Squeeze(op.Squeeze(x, inner, _name="y"), outer)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
        first = _parts.axes(_producer(y), 1, graph.rank(x))
        second = _parts.axes(root, 1, graph.rank(y))
        if not first or not second:
            raise Decline("no axes")
        free = (axis for axis in range(len(first) + max(second) + 1) if axis not in first)
        dropped = [axis for place, axis in enumerate(free) if place in second]
        return _parts.squeeze(op, x, tuple(sorted((*first, *dropped))))


class ViewOfView(Rule):
    """Two views become one ``Reshape(x, constant)``, where nothing else reads the inner one."""

    since = 5

    def pattern(self, op: PatternOps, x: Var, inner: Rest, outer: Rest) -> Op:
        return op.one_of(*_VIEWS[1:])(op.one_of(*_VIEWS)(x, inner), outer)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        return op.Reshape(x, reshape_target(x, root.outputs[0]))


class KnownTarget(Rule):
    """``Reshape(x, computed)`` becomes ``Reshape(x, constant)`` where shapes say what it holds.

    The extents that ``x`` has at the same place are copied (0), numbers are written, and one other
    extent may be left open (-1).
    """

    since = 5

    def pattern(self, op: PatternOps, x: Var, shape: Var) -> Op:
        return op.Reshape(x, shape)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value, shape: ir.Value) -> ir.Value:
        if graph.tensor(shape) is not None:
            raise Decline("constant already")
        found = target(x, root.outputs[0])
        if found is None:
            raise Decline("the shape cannot be written as a constant")
        return op.Reshape(x, found)


def _producer(value: ir.Value) -> ir.Node:
    node = value.producer()
    if node is None:
        raise Decline("not computed")
    return node


class NewAxes(Rule):
    """``Reshape(x, …)`` that only adds axes of one element becomes Unsqueeze, or Squeeze likewise.

    The form in which the axes are known whatever the extents are. So for Flatten.
    """

    since = 13

    def pattern(self, op: PatternOps, x: Var, rest: Rest) -> Op:
        return op.one_of("Reshape", "Flatten")(x, rest)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        before, after = extents(x), extents(root.outputs[0])
        if before is None or after is None or None in (*before, *after):
            raise Decline("the shapes are not known")
        if len(after) > len(before):
            return _parts.unsqueeze(op, x, _added(before, after))
        return _parts.squeeze(op, x, _added(after, before))


class Flat(Rule):
    """``Flatten(x)`` becomes ``Reshape(x, constant)``, which other exporters write."""

    since = 13

    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Flatten(x)

    def rewrite(self, op: Builder, root: ir.Node, x: ir.Value) -> ir.Value:
        return op.Reshape(x, reshape_target(x, root.outputs[0]))


class AxesOfComparison(Rule):
    """``Unsqueeze(i < j)`` becomes ``Unsqueeze(i) < Unsqueeze(j)`` for i and j with axes added.

    Their axes are then added at once.
    """

    since = 13

    def pattern(self, op: PatternOps, i: Var, j: Var, axes: Const) -> Op:
        compared = op.one_of("Equal", "Less", "LessOrEqual")(i, j, _name="compared")
        return op.Unsqueeze(compared, axes)

    def rewrite(
        self, op: Builder, i: ir.Value, j: ir.Value, axes: ir.Value, compared: ir.Value
    ) -> ir.Value:
        makers = [value.producer() for value in (i, j)]
        rank = graph.rank(compared)
        if any(node is None or node.op_type != "Unsqueeze" for node in makers) or rank is None:
            raise Decline("no axes were added")
        if not graph.rank(i) == graph.rank(j) == rank:
            raise Decline("of different ranks")
        sides = [op.Unsqueeze(value, axes) for value in (i, j)]
        return op.copy(_producer(compared), sides)


def _added(few: tuple[Extent, ...], many: tuple[Extent, ...]) -> tuple[int, ...]:
    """Return the axes of ``many``, all of one element, without which it is ``few``."""
    axes, rest = [], list(few)
    for axis, extent in enumerate(many):
        if rest and extent == rest[0]:
            rest.pop(0)
        elif extent == 1:
            axes.append(axis)
        else:
            raise Decline("elements change their axis")
    if rest or not axes:
        raise Decline("elements change their axis")
    return tuple(axes)
