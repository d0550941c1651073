"""Short loops of known length become their iterations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass


class UnrollLoops(Pass):
    """Replace a Loop that always runs n times by n copies of its body.

    It pays for short loops only: at most ``max_iterations``, and ``max_nodes`` nodes in the end.
    """

    max_iterations: int = 16
    max_nodes: int = 256

    def run(self, model: ir.Model, context: Context) -> int:
        """Unroll in the main graph and everything in it, the outer loops first."""
        names = graph.Names(model)
        changes = 0
        pending = [model.graph]
        while pending:
            home = pending.pop()
            for node in [node for node in home if node.op_type == "Loop" and not node.domain]:
                count = self._count(node)
                if count and context.gate.permit("unroll-loops", node.outputs[0].name or ""):
                    _Unrolling(home, node, names, graph.opset(model)).run(count)
                    changes += 1
            pending += [inner for node in home for inner in graph.subgraphs(node)]
        return changes

    def _count(self, node: ir.Node) -> int:
        """Return how often a loop always runs, 0 where that varies or is too much."""
        trips = graph.ints(node.inputs[0])
        body = node.attributes["body"].as_graph()
        if len(body.inputs) != max(2, len(node.inputs)) or not body.outputs:
            return 0
        start = node.inputs[1] if len(node.inputs) > 1 else None
        starts = start is None or graph.scalar(start) == 1
        goes_on = graph.origin(body.outputs[0])
        endless = goes_on is body.inputs[1] or graph.scalar(goes_on) == 1
        if not trips or not starts or not endless or any(map(graph.has_bodies, body)):
            return 0
        affordable = trips[0] <= self.max_iterations and trips[0] * len(body) <= self.max_nodes
        return max(trips[0], 0) if affordable else 0


class _Unrolling:
    """One loop being unrolled into the graph around it."""

    def __init__(self, home: ir.Graph, node: ir.Node, names: graph.Names, opset: int) -> None:
        self.home = home
        self.node = node
        self.names = names
        self.opset = opset

    def run(self, count: int) -> None:
        """Lay out the iterations one after another, then stack what each one scanned out."""
        states: list[ir.Value | None] = list(self.node.inputs[2:])
        scans: list[list[ir.Value]] = []
        body = self.node.attributes["body"].as_graph()
        for step in range(count):
            copy = body.clone(allow_outer_scope_values=True)
            results = self._iterate(copy, step, states)
            states, scanned = list(results[: len(states)]), results[len(states) :]
            scans.append(list(scanned))
        stacked = [self._stack(list(parts)) for parts in zip(*scans, strict=True)]
        for old, new in zip(self.node.outputs, [*states, *stacked], strict=True):
            if new is not None:
                self._hand_over(old, new)
        graph.release(self.node)
        self.home.remove(self.node)

    def _iterate(
        self, body: ir.Graph, step: int, states: Sequence[ir.Value | None]
    ) -> list[ir.Value]:
        """Move one copy of the body in front of the loop; return its states and scan outputs."""
        given = [
            self._constant(np.asarray(step, np.int64), body.inputs[0]),
            self._constant(np.asarray(True), body.inputs[1]),
            *states,
        ]
        entering, leaving = list(body.inputs), list(body.outputs)
        body.outputs.clear()
        body.inputs.clear()
        outer = dict(zip(entering, given, strict=True))
        for value, replacement in outer.items():
            for user, position in list(value.uses()):
                user.replace_input_with(position, replacement)
        graph.adopt(self.home, self.node, body, self.names)
        found = [outer.get(value, value) for value in leaving[1:]]
        return [value for value in found if value is not None]

    def _constant(self, contents: np.ndarray, like: ir.Value) -> ir.Value:
        shaped = contents.reshape(graph.static(like) or ())
        value = graph.constant(shaped, self.names.fresh(like.name or "step"))
        self.home.register_initializer(value)
        return value

    def _stack(self, parts: list[ir.Value]) -> ir.Value:
        raised = [self._unsqueeze(part) for part in parts]
        return self._node("Concat", raised, [ir.AttrInt64("axis", 0)])

    def _unsqueeze(self, part: ir.Value) -> ir.Value:
        if self.opset < 13:
            return self._node("Unsqueeze", [part], [ir.AttrInt64s("axes", [0])])
        axes = ir.Value(name="axes", shape=ir.Shape([1]))
        return self._node("Unsqueeze", [part, self._constant(np.asarray([0]), axes)], [])

    def _node(self, op_type: str, inputs: list[ir.Value], attributes: list[ir.Attr]) -> ir.Value:
        made = ir.Node("", op_type, inputs, attributes, num_outputs=1)
        base = f"{self.node.outputs[0].name}_{op_type}"
        made.name = made.outputs[0].name = self.names.fresh(base)
        made.outputs[0].type = inputs[0].type
        self.home.insert_before(self.node, made)
        return made.outputs[0]

    def _hand_over(self, old: ir.Value, new: ir.Value) -> None:
        fresh = not graph.replaceable(old, new)
        graph.replace(old, self._node("Identity", [new], []) if fresh else new, fresh=fresh)
