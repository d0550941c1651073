"""Known sizes where the model leaves them open."""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.errors import UsageError
from onnxopt.spec import nearest


class FixShapes(Pass):
    """Fix dimensions of inputs, each given as ``name=1,3,224,224``; a name binds everywhere."""

    changes_signature: ClassVar[bool] = True

    shapes: tuple[str, ...] = ()

    def run(self, model: ir.Model, context: Context) -> int:
        """Fix the inputs named, then every other dimension that carries the same name."""
        bound: dict[str, int] = {}
        changes = 0
        for text in self.shapes:
            value, wanted = _read(model, text)
            changes += _fix(value, wanted, bound, text)
        for value in [*model.graph.inputs, *model.graph.outputs]:
            changes += _substitute(value, bound)
        return changes


def _read(model: ir.Model, text: str) -> tuple[ir.Value, list[int]]:
    name, sign, sizes = text.rpartition("=")
    own = [value for value in model.graph.inputs if not value.is_initializer()]
    inputs = {value.name or "": value for value in own}
    if not sign or name not in inputs:
        known = ", ".join(inputs)
        raise UsageError(
            f"shape '{text}': expected INPUT=1,3,224,224 with an input of the model ({known})"
            + nearest(name, inputs)
        )
    try:
        wanted = [int(size) for size in sizes.split(",")] if sizes else []
    except ValueError:
        raise UsageError(f"shape '{text}': '{sizes}' is not a list of whole numbers") from None
    if any(size < 0 for size in wanted):
        raise UsageError(f"shape '{text}': a dimension cannot be negative")
    return inputs[name], wanted


def _fix(value: ir.Value, wanted: list[int], bound: dict[str, int], text: str) -> int:
    found = graph.dims(value)
    if found is None:
        value.shape = ir.Shape(wanted)
        return 1
    if len(found) != len(wanted):
        raise UsageError(f"shape '{text}': input '{value.name}' has {len(found)} dimensions")
    for dim, size in zip(found, wanted, strict=True):
        if isinstance(dim, str):
            if bound.setdefault(dim, size) != size:
                raise UsageError(f"shape '{text}': '{dim}' is {bound[dim]} already")
        elif dim is not None and dim != size:
            raise UsageError(
                f"shape '{text}': input '{value.name}' has {dim} where {size} is given"
            )
    value.shape = ir.Shape(wanted)
    return int(found != tuple(wanted))


def _substitute(value: ir.Value, bound: dict[str, int]) -> int:
    found = graph.dims(value)
    if found is None or not any(dim in bound for dim in found if isinstance(dim, str)):
        return 0
    value.shape = ir.Shape([bound.get(d, d) if isinstance(d, str) else d for d in found])
    return 1
