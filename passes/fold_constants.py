"""Compute what does not depend on the inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph, ops
from onnxopt.base import Context, Pass
from onnxopt.errors import OnnxoptError
from onnxopt.shapes import known_value

_SMALL = 1 << 16
"""Bytes of inputs up to which an operator is computed although its output's size is unknown."""


class FoldConstants(Pass):
    """Compute once what does not depend on the inputs, shape arithmetic included.

    Everything is computed in one run of one model, exactly as it is written. A result is kept only
    where it takes at most ``max_growth`` bytes more than the constants it is computed from, so that
    a file does not grow for what the runtime computes in no time.
    """

    max_growth: int = 1 << 20

    def run(self, model: ir.Model, context: Context) -> int:
        """Turn Constant nodes into initializers, then fold in every graph outside of functions."""
        changes = 0
        chosen: list[ir.Node] = []
        for home in graph.nested(model.graph):
            changes += _lift(home, context)
            changes += _known(home, context)
            chosen += self._choose(home, context)
        computed = _compute(chosen, model, context)
        return changes + _replace(computed)

    def _choose(self, home: ir.Graph, context: Context) -> list[ir.Node]:
        """Return the nodes that depend on constants alone, in order."""
        chosen: list[ir.Node] = []
        sizes: dict[ir.Value, int] = {}
        for node in home:
            size = _operand_bytes(node, sizes)
            if size is None or not self._affordable(node, size):
                continue
            if context.gate.permit("fold-constants", node.outputs[0].name or ""):
                chosen.append(node)
                for output in node.outputs:
                    sizes[output] = max(_bytes(output) or 0, 1)
        return chosen

    def _affordable(self, node: ir.Node, operands: int) -> bool:
        if not ops.pure(node) or ops.key(node) in ops.KEPT or node.op_type == "Constant":
            return False
        if any(value.is_graph_output() for value in node.outputs) or any(graph.subgraphs(node)):
            return False
        found = [_bytes(value) for value in node.outputs if value.name]
        if None in found:
            return operands <= _SMALL and ops.key(node) not in ops.SIZE_FROM_CONTENTS
        return sum(size or 0 for size in found) <= operands + self.max_growth


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
        if not ops.pure(node) or len(node.outputs) != 1 or node.op_type == "Constant":
            continue
        old = node.outputs[0]
        if old.is_graph_output() or old.dtype not in ops.INDEX_TYPES or not old.uses():
            continue
        found = known_value(old)
        if found is not None and context.gate.permit("fold-constants", old.name or ""):
            _initialize(old, graph.tensor_of(found))
            graph.remove_dead([node])
            changes += 1
    return changes


def _operand_bytes(node: ir.Node, sizes: dict[ir.Value, int]) -> int | None:
    """Return the bytes of a node's inputs where all are constant, else None."""
    total = 0
    for value in node.inputs:
        if value is None:
            continue
        if value in sizes:
            total += sizes[value]
            continue
        found = graph.tensor(value)
        if found is None or found.dtype == ir.DataType.STRING:
            return None
        total += found.nbytes
    return total


def _bytes(value: ir.Value) -> int | None:
    shape = graph.static(value)
    if shape is None or value.dtype is None or value.dtype == ir.DataType.STRING:
        return None
    return int(np.prod(shape, dtype=np.float64) * value.dtype.itemsize)


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
            value for value in node.outputs if any(user not in inside for user in value.consumers())
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
    made = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        list(node.attributes.values()),
        num_outputs=len(node.outputs),
        name="",
    )
    for old, new in zip(node.outputs, made.outputs, strict=True):
        new.name = f"v{len(copies)}" if old.name else ""
        new.type, new.shape = old.type, old.shape
        copies[old] = new
    return made


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
