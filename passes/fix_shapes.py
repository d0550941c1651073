"""Known sizes where the model leaves them open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        fixed: dict[ir.Value, Sequence[int | str | None]] = {
            value: shape for value, shape in wanted.shapes.items() if graph.dims(value) != shape
        }
        for value in [*model.graph.inputs, *model.graph.outputs]:
            found = graph.dims(value)
            if value not in wanted.shapes and found is not None:
                bound = tuple(_bound(dim, wanted.names) for dim in found)
                fixed |= {value: bound} if bound != found else {}
        if not fixed or not context.gate.permit(self.name, "model"):
            return 0
        for value, shape in fixed.items():
            value.shape = ir.Shape(shape)
        return len(fixed)


def _bound(dim: int | str | None, names: Mapping[str, int]) -> int | str | None:
    return names.get(dim, dim) if isinstance(dim, str) else dim
