"""An If that can only go one way becomes the branch that is taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.shapes import dead_end


class InlineIf(Pass):
    """Replace an If that can only go one way by the nodes of that branch.

    Its condition is constant; or its other branch hands on a tensor of a rank on which a later node
    cannot run, so that the model would fail. Exporters write such an If for ``squeeze(dim)``.
    """

    def run(self, model: ir.Model, context: Context) -> int:
        """Inline from the outside in, since a branch may hold further Ifs."""
        names = graph.Names(model)
        changes = 0
        pending = [model.graph]
        while pending:
            home = pending.pop()
            queue = deque(home)
            while queue:
                node = queue.popleft()
                if node.op_type != "If" or node.domain:
                    pending += graph.subgraphs(node)
                    continue
                branch = _taken(node)
                if branch is None and home is model.graph:
                    branch = _viable(model, node)
                site = next((value.name or "" for value in node.outputs), "")
                if branch is not None and context.gate.permit("inline-if", site):
                    queue.extendleft(reversed(_inline(home, node, branch, names)))
                    changes += 1
                else:
                    pending += graph.subgraphs(node)
        return changes


def _taken(node: ir.Node) -> ir.Graph | None:
    """Return the branch of an If that is always taken."""
    condition = graph.scalar(node.inputs[0])
    if condition is None:
        return None
    return node.attributes["then_branch" if condition else "else_branch"].as_graph()


def _viable(model: ir.Model, node: ir.Node) -> ir.Graph | None:
    """Return the only branch of an If on which the model runs to its end, where there is one."""
    then, other = (node.attributes[name].as_graph() for name in ("then_branch", "else_branch"))
    pairs = zip(then.outputs, other.outputs, strict=True)
    if all(graph.rank(a) == graph.rank(b) for a, b in pairs):
        return None
    fails = [dead_end(model, node, branch) is not None for branch in (then, other)]
    if fails[0] == fails[1]:
        return None
    return other if fails[0] else then


def _inline(
    home: ir.Graph, node: ir.Node, branch: ir.Graph, names: graph.Names
) -> Sequence[ir.Node]:
    results = list(branch.outputs)
    branch.outputs.clear()
    moved = graph.adopt(home, node, branch, names)
    for old, new in zip(node.outputs, results, strict=True):
        _hand_over(home, node, old, new)
    graph.release(node)
    home.remove(node)
    return moved


def _hand_over(home: ir.Graph, node: ir.Node, old: ir.Value, new: ir.Value) -> None:
    """Let a branch's result take the place of the If's; copy it where it cannot be an output."""
    if not graph.replaceable(old, new):
        copy = ir.Node("", "Identity", [new], num_outputs=1)
        copy.outputs[0].name = None
        home.insert_before(node, copy)
        graph.replace(old, copy.outputs[0], fresh=True)
    else:
        graph.replace(old, new)
