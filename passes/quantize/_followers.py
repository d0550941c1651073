"""What goes up in the operator that makes its input, so that quantization moves behind it."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onnxopt import graph
from onnxopt.kernels import Kernel, Role

RowOf = Callable[[ir.Node], Kernel | None]


class Followers:
    """The chains of operators behind layers, and behind what lies between them."""

    def __init__(self, row_of: RowOf, *, absorbs: bool) -> None:
        self._row_of = row_of
        self._absorbs = absorbs
        self._behind: dict[ir.Value, ir.Node] = {}
        self._home: dict[ir.Value, ir.Node] = {}
        self._order: dict[ir.Value, int] = {}
        self._into: dict[ir.Node, ir.Node] = {}

    def tail(self, value: ir.Value) -> ir.Value:
        """Return the value behind all that goes up in what makes a value; itself where nothing."""
        while value in self._behind:
            value = self._behind[value].outputs[0]
        return value

    def behind(self, value: ir.Value) -> ir.Node | None:
        """Return the operator that reads a value and goes up in what makes it."""
        return self._behind.get(value)

    def home(self, node: ir.Node) -> ir.Node | None:
        """Return the layer that a fused operator is computed by."""
        return self._into.get(node)

    def absorb(self, output: ir.Value) -> None:
        """Take in the operator behind an output that cuts off what quantization cuts off."""
        if not self._absorbs or not graph.sole_use(output):
            return
        node, index = next(iter(output.uses()))
        row = self._row_of(node)
        if row is None or row.role is not Role.ABSORBED or index:
            return
        if node.op_type == "Relu" or _lowest(node) == 0:
            self._behind[output] = node

    def start(self, layer: ir.Node, output: ir.Value) -> None:
        """Let operators be fused into a layer; layers come in their order."""
        self._home[output] = layer
        self._order[output] = len(self._order)

    def fuse(self, node: ir.Node) -> None:
        """Compute an operator in the last of the layers that make its inputs, if it can be."""
        output = node.outputs[0]
        fit = [value for value in node.inputs if value is not None and self._takes(value, node)]
        if not fit:
            return
        made = max(fit, key=lambda value: self._order[value])
        layer = self._home.pop(made)
        self._behind[made] = node
        self._into[node] = layer
        for gate in {use.node for use in made.uses()} - {node}:
            self._into[gate] = layer
        self.start(layer, output)

    def _takes(self, value: ir.Value, node: ir.Node) -> bool:
        """Return whether a layer that makes a value can compute what a node makes of it."""
        if value not in self._home or value.is_graph_output():
            return False
        others = [other for other in node.inputs[1:] if other is not None]
        if len(node.inputs) < 2 or node.op_type == "Clip":
            return graph.sole_use(value) and all(graph.tensor(other) for other in others)
        if node.op_type == "Mul":
            return _gated(value, node)
        return graph.sole_use(value) and all(
            other is value or graph.dims(other) == graph.dims(value) is not None
            for other in node.inputs
        )


def _lowest(node: ir.Node) -> float | None:
    return graph.scalar(node.inputs[1]) if len(node.inputs) > 1 else None


def _gated(value: ir.Value, node: ir.Node) -> bool:
    """Return whether a product is ``x f(x)``, f a function of one number that nobody else reads."""
    gates = [use.node for use in value.uses() if use.node is not node]
    if len(gates) != 1 or len(list(value.uses())) != 2:
        return False
    made = gates[0].outputs[0]
    return gates[0].op_type in _GATES and made in node.inputs and graph.sole_use(made)


_GATES = frozenset(("HardSigmoid", "Sigmoid"))
"""SiLU and HardSwish."""
