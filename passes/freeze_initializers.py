"""Treat initializers that are listed as inputs as the constants they are."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass


class FreezeInitializers(Pass):
    """List initializers no longer among the inputs, where no caller is meant to override them.

    Before version 4 of the file format every initializer had to be an input too. From then on such
    an input is a default, which callers may override; but exporters went on listing all weights by
    habit, and no runtime can prepare weights that may change. So where every initializer is an
    input, weights among them, all are frozen; where only some are, these stay defaults, and
    ``overridable`` freezes them too.
    """

    overridable: bool = False

    def run(self, model: ir.Model, context: Context) -> int:
        """Take initializers out of the inputs and raise the file format where that needs it."""
        old = model.ir_version < graph.DEFAULTS_SINCE
        frozen = [value for value in model.graph.inputs if value.is_initializer()]
        if not (old or self.overridable or _by_habit(model.graph)):
            return 0
        if not (frozen or old) or not context.gate.permit("freeze-initializers", "model"):
            return 0
        for value in frozen:
            model.graph.inputs.remove(value)
        model.ir_version = max(model.ir_version, graph.DEFAULTS_SINCE)
        return len(frozen) + int(old)


_WEIGHTED = frozenset(("Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN"))


def _by_habit(home: ir.Graph) -> bool:
    """Return whether all initializers are inputs, and one is the weight of a layer."""
    held = list(home.initializers.values())
    if len(held) < 2 or not all(value.is_graph_input() for value in held):
        return False
    uses = (use for value in held for use in value.uses())
    return any(use.idx == 1 and use.node.op_type in _WEIGHTED for use in uses)
