"""Forget the types and shapes of inner values."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.ops import STANDARD_DOMAINS


class ForgetShapes(Pass):
    """Forget the types and shapes of inner values, as if they had never been inferred.

    Runtimes infer what they need themselves, and what a file says beyond that can cost time. Told
    all shapes, ONNX Runtime 1.31 fuses Add into SkipLayerNormalization, which takes a CPU several
    times as long as the two, and lays its buffers out so that caches serve them worse: 3 to 5 % of
    a transformer's time. Inputs, outputs, initializers and the results of operators outside ONNX
    keep what is known.
    """

    def run(self, model: ir.Model, context: Context) -> int:
        """Forget them in every graph; return how many values lost something."""
        changes = 0
        for home in graph.graphs(model):
            for node in home:
                if node.domain not in STANDARD_DOMAINS:
                    continue
                changes += sum(_forget(value, context) for value in node.outputs)
        return changes


def _forget(value: ir.Value, context: Context) -> bool:
    if value.is_graph_output() or (value.type is None and value.shape is None):
        return False
    if not context.gate.permit("forget-shapes", value.name or ""):
        return False
    value.type = None
    value.shape = None
    return True
