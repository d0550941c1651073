"""State that a model hands to its caller, who feeds it back with the next frame."""

from __future__ import annotations

import re

import onnx_ir as ir

_MARKS = re.compile(
    r"(?<![a-z])(in|out|input|output|old|new|prev|previous|next|initial|final|past|present)"
    r"(?![a-z])"
)
_COUNT = re.compile(r"[^a-z]+|n$")


def carried(model: ir.Model) -> dict[str, str]:
    """Return the outputs that are fed back, each with the input that takes it.

    Both have one type, shapes that fit, and names that differ by no more than ``in`` and ``out``,
    ``new``, ``n`` and the like: ``state`` and ``stateN``, ``h0`` and ``hn``.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    found: dict[str, str] = {}
    for output in model.graph.outputs:
        takers = [value for value in inputs if _alike(value, output)]
        if len(takers) == 1 and takers[0].name not in found.values():
            found[str(output.name)] = str(takers[0].name)
    return found


def _alike(one: ir.Value, other: ir.Value) -> bool:
    if one.shape is None or other.shape is None or one.dtype != other.dtype:
        return False
    if one.dtype is None or not one.dtype.is_floating_point():
        return False
    if len(one.shape) != len(other.shape):
        return False
    sizes = [tuple(map(str, pair)) for pair in zip(one.shape, other.shape, strict=True)]
    fits = all(a == b or not (a.isdigit() and b.isdigit()) for a, b in sizes)
    return fits and bool(_stem(one)) and _stem(one) == _stem(other)


def _stem(value: ir.Value) -> str:
    return _COUNT.sub("", _MARKS.sub("", str(value.name).lower()))
