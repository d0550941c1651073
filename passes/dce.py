"""Remove what nothing uses."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass


class DeadCode(Pass):
    """Remove nodes, initializers and functions that nothing uses."""

    keep_initializers: bool = False

    def run(self, model: ir.Model, context: Context) -> int:
        """Remove dead nodes in every graph, then unused initializers, then uncalled functions."""
        changes = 0
        for home in reversed(list(graph.graphs(model))):
            changes += _nodes(home, context)
            if not self.keep_initializers:
                changes += _initializers(home, context)
        return changes + _functions(model, context)


def _nodes(home: ir.Graph, context: Context) -> int:
    changes = 0
    for node in reversed(list(home)):
        if any(graph.used(value) for value in node.outputs):
            continue
        if context.gate.permit("dce", next((v.name or "" for v in node.outputs), node.op_type)):
            graph.release(node)
            home.remove(node)
            changes += 1
    return changes


def _initializers(home: ir.Graph, context: Context) -> int:
    unused = [
        value
        for value in home.initializers.values()
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input()
    ]
    gone = [value for value in unused if context.gate.permit("dce", value.name or "")]
    for value in gone:
        del home.initializers[value.name or ""]
    return len(gone)


def _functions(model: ir.Model, context: Context) -> int:
    called: set[tuple[str, str, str]] = set()
    pending = [model.graph]
    while pending:
        for home in graph.nested(pending.pop()):
            for node in home:
                identifier = node.op_identifier()
                if identifier in model.functions and identifier not in called:
                    called.add(identifier)
                    pending.append(model.functions[identifier].graph)
    changes = 0
    for identifier in [key for key in model.functions if key not in called]:
        if context.gate.permit("dce", identifier[1]):
            del model.functions[identifier]
            changes += 1
    return changes
