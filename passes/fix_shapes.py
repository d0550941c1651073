"""Known sizes where the model leaves them open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import onnx_ir as ir

from onnxopt import given, graph
from onnxopt.base import Context, Pass


class FixShapes(Pass):
    """Fix dimensions of inputs, each given as ``name=1,3,224,224``; a name binds everywhere."""

    changes_signature: ClassVar[bool] = True

    shapes: tuple[str, ...] = ()

    def run(self, model: ir.Model, context: Context) -> int:
        """Fix the inputs named, then every other dimension that carries the same name."""
        wanted = given.read(model, self.shapes)
        if not wanted.shapes or not context.gate.permit(self.name, "model"):
            return 0
        changes = 0
        for value, shape in wanted.shapes.items():
            changes += int(graph.dims(value) != shape)
            value.shape = ir.Shape(shape)
        for value in [*model.graph.inputs, *model.graph.outputs]:
            changes += _substitute(value, wanted.names)
        return changes


def _substitute(value: ir.Value, bound: Mapping[str, int]) -> int:
    found = graph.dims(value)
    if found is None or not any(dim in bound for dim in found if isinstance(dim, str)):
        return 0
    value.shape = ir.Shape([bound.get(d, d) if isinstance(d, str) else d for d in found])
    return 1
