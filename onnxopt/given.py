"""Sizes of inputs that somebody gives as text, ``x=1,3,224,224``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import onnx_ir as ir

from onnxopt import graph
from onnxopt.errors import UsageError
from onnxopt.spec import nearest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """Shapes of inputs, and what follows for the extents that they name."""

    shapes: Mapping[ir.Value, tuple[int, ...]]
    names: Mapping[str, int]
    """By the name of an extent."""

    def sizes(self) -> dict[str, int]:
        """Return sizes by the name of an extent, or ``input:axis`` where it has none."""
        found = dict(self.names)
        for value, wanted in self.shapes.items():
            known = graph.dims(value) or (None,) * len(wanted)
            for axis, (dim, size) in enumerate(zip(known, wanted, strict=True)):
                if dim is None:
                    found[f"{value.name}:{axis}"] = size
        return found


def read(model: ir.Model, texts: Iterable[str]) -> Given:
    """Read shapes of a model's inputs.

    Raises UsageError for an unknown input, for sizes that are none, and where they contradict the
    model or each other.
    """
    shapes: dict[ir.Value, tuple[int, ...]] = {}
    names: dict[str, int] = {}
    for text in texts:
        value, wanted = _parsed(model, text)
        _bind(value, wanted, names, text)
        shapes[value] = wanted
    return Given(shapes=shapes, names=names)


def _parsed(model: ir.Model, text: str) -> tuple[ir.Value, tuple[int, ...]]:
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
        wanted = tuple(int(size) for size in sizes.split(",")) if sizes else ()
    except ValueError:
        raise UsageError(f"shape '{text}': '{sizes}' is not a list of whole numbers") from None
    if any(size < 0 for size in wanted):
        raise UsageError(f"shape '{text}': a dimension cannot be negative")
    return inputs[name], wanted


def _bind(value: ir.Value, wanted: tuple[int, ...], names: dict[str, int], text: str) -> None:
    found = graph.dims(value)
    if found is None:
        return
    if len(found) != len(wanted):
        raise UsageError(f"shape '{text}': input '{value.name}' has {len(found)} dimensions")
    for dim, size in zip(found, wanted, strict=True):
        if isinstance(dim, str):
            if names.setdefault(dim, size) != size:
                raise UsageError(f"shape '{text}': '{dim}' is {names[dim]} already")
        elif dim is not None and dim != size:
            raise UsageError(
                f"shape '{text}': input '{value.name}' has {dim} where {size} is given"
            )
