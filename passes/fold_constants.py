"""Compute what does not depend on the inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt import graph, ops
from onnxopt.base import Context, Pass
from onnxopt.errors import OnnxoptError
from onnxopt.shapes import known_value

_SMALL = 1 << 16
"""Bytes of inputs up to which an operator is computed although its output's size is unknown."""

_WIDEST = 16
"""Bytes of the widest type of element."""

_ROOM = 256 << 20
"""Bytes that all results together may take, besides a multiple of all constants."""


class _Extent(NamedTuple):
    """How large a constant is; where its shape is unknown, how large at most."""

    size: int
    elements: int
    shape: tuple[int, ...] | None = None


class FoldConstants(Pass):
    """Compute once what does not depend on the inputs, shape arithmetic included.

    Everything is computed in one run of one model, exactly as it is written. A result is kept only
    where it takes at most ``max_growth`` bytes more than the constants it is computed from, so that
    a file does not grow for what the runtime computes in no time.
    """

    max_growth: int = 1 << 20
    stated: bool = True
    """Believe the shapes that the model states, as they are once ``infer-shapes`` has run."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Turn Constant nodes into initializers, then fold in every graph outside of functions."""
        changes = 0
        homes = list(graph.nested(model.graph))
        for home in homes:
            changes += _lift(home, context)
            changes += _known(home, context)
        choice = _Choice(model, context, self.max_growth, stated=self.stated)
        for home in homes:
            choice.look(home)
        computed = _compute(choice.nodes, model, context)
        return changes + _replace(computed)


class _Choice:
    """The nodes to compute: they depend on constants alone, and their results are bounded."""

    def __init__(self, model: ir.Model, context: Context, max_growth: int, *, stated: bool) -> None:
        self._stated = stated
        self.nodes: list[ir.Node] = []
        self._context = context
        self._max_growth = max_growth
        self._extents: dict[ir.Value, _Extent] = {}
        self._room = _ROOM
        for home in graph.graphs(model):
            held = (value.const_value for value in home.initializers.values())
            self._room += 16 * sum(tensor.nbytes for tensor in held if tensor is not None)

    def look(self, home: ir.Graph) -> None:
        """Choose nodes of a graph, in order."""
        for node in home:
            operands = self._operands(node)
            results = None if operands is None else self._results(node, operands)
            if results is None:
                continue
            size = sum([extent.size for extent in results])
            if size > self._room:
                continue
            if self._context.gate.permit("fold-constants", node.outputs[0].name or ""):
                self.nodes.append(node)
                self._room -= size
                self._extents.update(zip(node.outputs, results, strict=True))

    def _operands(self, node: ir.Node) -> dict[ir.Value, _Extent] | None:
        """Return the extents of a node's inputs, where all are constant."""
        found = {}
        for value in node.inputs:
            if value is not None and value not in found:
                extent = self._extents.get(value) or _constant_extent(value)
                if extent is None:
                    return None
                found[value] = self._extents[value] = extent
        return found

    def _results(self, node: ir.Node, operands: dict[ir.Value, _Extent]) -> list[_Extent] | None:
        """Return the extents of a node's outputs, None where it is not to be computed."""
        if not ops.pure(node) or ops.key(node) in ops.KEPT or node.op_type == "Constant":
            return None
        if any(value.is_graph_output() for value in node.outputs) or graph.has_bodies(node):
            return None
        given = sum([extent.size for extent in operands.values()])
        found = [_inferred(value) if self._stated else None for value in node.outputs]
        if None not in found:
            results = [extent for extent in found if extent is not None]
            small = sum(extent.size for extent in results) <= given + self._max_growth
            return results if small else None
        most = _most(node, [operands[value] for value in node.inputs if value is not None])
        if given > _SMALL or ops.key(node) in ops.SIZE_FROM_CONTENTS:
            return None
        return [most] * len(found) if most.size <= self._max_growth else None


def _constant_extent(value: ir.Value) -> _Extent | None:
    found = graph.tensor(value)
    if found is None or found.dtype == ir.DataType.STRING:
        return None
    return _Extent(found.nbytes, found.size, tuple(found.shape.numpy()))


def _inferred(value: ir.Value) -> _Extent | None:
    """Return the extent that a value's type and shape state; nothing for an absent output."""
    if not value.name:
        return _Extent(0, 0)
    shape = graph.static(value)
    if shape is None or value.dtype is None or value.dtype == ir.DataType.STRING:
        return None
    elements = math.prod(shape)
    return _Extent(math.ceil(elements * value.dtype.itemsize), elements)


def _most(node: ir.Node, operands: list[_Extent]) -> _Extent:
    """Return a bound: operands are broadcast against one another, or joined, or listed."""
    shape = _broadcast(node, operands)
    if shape is not None:
        return _Extent(math.prod(shape) * _WIDEST, math.prod(shape), shape)
    counts = [extent.elements for extent in operands]
    most = max(math.prod(counts), sum(counts))
    if ops.key(node) in ops.LISTS_INDICES:
        most *= 8
    return _Extent(most * _WIDEST, most)


def _broadcast(node: ir.Node, operands: list[_Extent]) -> tuple[int, ...] | None:
    """Return the shape that an elementwise operator makes of operands whose shapes are known."""
    shapes = [extent.shape for extent in operands]
    known = node.op_type in ops.ELEMENTWISE or node.op_type in ops.BROADCAST
    if node.domain or not known or None in shapes:
        return None
    if len(set(shapes)) == 1:
        return shapes[0]
    try:
        return np.broadcast_shapes(*(shape for shape in shapes if shape is not None))
    except ValueError:
        return None


def _lift(home: ir.Graph, context: Context) -> int:
    """Turn Constant nodes into initializers."""
    changes = 0
    for node in [n for n in home if n.op_type == "Constant" and not n.domain]:
        old = node.outputs[0]
        found = graph.tensor(old)
        if found is None or old.is_graph_output():
            continue
        if context.gate.permit("fold-constants", old.name or ""):
            _initialize(old, found)
            home.remove(node)
            changes += 1
    return changes


def _known(home: ir.Graph, context: Context) -> int:
    """Replace values that symbolic shape inference proves constant, whatever they come from."""
    changes = 0
    for node in list(home):
        if len(node.outputs) != 1 or node.outputs[0].dtype not in ops.INDEX_TYPES:
            continue
        old = node.outputs[0]
        if not ops.pure(node) or node.op_type == "Constant":
            continue
        if old.is_graph_output() or not old.uses():
            continue
        found = known_value(old)
        if found is not None and context.gate.permit("fold-constants", old.name or ""):
            _initialize(old, graph.tensor_of(found))
            graph.remove_dead([node])
            changes += 1
    return changes


def _compute(
    nodes: Sequence[ir.Node], model: ir.Model, context: Context
) -> dict[ir.Value, np.ndarray]:
    """Return what the nodes compute, where something else uses it.

    Where the runtime refuses, they are computed in halves, so that a node without a kernel keeps
    only itself and what depends on it from being folded.
    """
    computed: dict[ir.Value, np.ndarray] = {}
    pending = [list(nodes)]
    while pending:
        group = _computable(pending.pop(), computed)
        if not group:
            continue
        try:
            computed |= _evaluate(group, model, context, computed)
        except OnnxoptError:
            half = len(group) // 2
            pending += [group[half:], group[:half]] if half else []
    return computed


def _computable(group: Sequence[ir.Node], computed: dict[ir.Value, np.ndarray]) -> list[ir.Node]:
    """Return the nodes whose inputs are constant, computed, or computed within the group."""
    inside: set[ir.Value] = set()
    found = []
    for node in group:
        inputs = [value for value in node.inputs if value is not None]
        if all(v in inside or v in computed or graph.tensor(v) is not None for v in inputs):
            found.append(node)
            inside.update(node.outputs)
    return found


def _evaluate(
    group: Sequence[ir.Node],
    model: ir.Model,
    context: Context,
    computed: dict[ir.Value, np.ndarray],
) -> dict[ir.Value, np.ndarray]:
    """Run copies of the nodes as one model and return the values that are used outside of them."""
    copies: dict[ir.Value, ir.Value] = {}
    initializers: list[ir.Value] = []
    inside = set(group)
    nodes, wanted = [], []
    for node in group:
        inputs = [_operand(value, copies, initializers, computed) for value in node.inputs]
        nodes.append(_copy(node, inputs, copies))
        wanted += [
            value for value in node.outputs if any(use.node not in inside for use in value.uses())
        ]
    outputs = [copies[value] for value in wanted]
    home = ir.Graph(
        [], outputs, nodes=nodes, initializers=initializers, opset_imports=model.opset_imports
    )
    results = context.evaluate(ir.Model(home, ir_version=max(model.ir_version, 4)), {})
    found = {value: results[copies[value].name or ""] for value in wanted}
    return {value: array for value, array in found.items() if _storable(array)}


def _storable(found: object) -> bool:
    """Return whether a result is a tensor of numbers, not a sequence, a map or text."""
    return isinstance(found, np.ndarray) and found.dtype.kind != "O"


def _operand(
    value: ir.Value | None,
    copies: dict[ir.Value, ir.Value],
    initializers: list[ir.Value],
    computed: dict[ir.Value, np.ndarray],
) -> ir.Value | None:
    if value is None or value in copies:
        return None if value is None else copies[value]
    contents = graph.tensor_of(computed[value]) if value in computed else graph.tensor(value)
    copy = ir.Value(name=f"c{len(copies)}", const_value=contents)
    copies[value] = copy
    initializers.append(copy)
    return copy


def _copy(
    node: ir.Node, inputs: Sequence[ir.Value | None], copies: dict[ir.Value, ir.Value]
) -> ir.Node:
    outputs = []
    for old in node.outputs:
        new = ir.Value(name=f"v{len(copies)}" if old.name else "")
        copies[old] = new
        outputs.append(new)
    held = node.attributes
    return ir.Node(node.domain, node.op_type, inputs, held, outputs=outputs, name="")


def _replace(computed: dict[ir.Value, np.ndarray]) -> int:
    """Let initializers take the place of computed values; return the number of nodes removed."""
    removed = 0
    for value in reversed(list(computed)):
        node = value.producer()
        if node is None:
            continue
        if value.uses():
            _initialize(value, graph.tensor_of(computed[value]))
        removed += len(graph.remove_dead([node]))
    return removed


def _initialize(old: ir.Value, contents: ir.TensorProtocol) -> None:
    """Put an initializer of the same name in a value's place."""
    home = old.graph
    name, old.name = old.name, None
    new = graph.constant(contents, name)
    if isinstance(home, ir.Graph):
        home.register_initializer(new)
    old.replace_all_uses_with(new)
