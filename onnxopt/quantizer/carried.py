"""State that a model hands to its caller, who feeds it back with the next frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import onnx_ir as ir

_STATE = re.compile(
    r"(?<![a-z])(?!hidden_?states)(?<!hidden_)"
    r"(states?|hidden|cell|cache|mem|memory|buffer|carry|[hcs])n?(?![a-z])"
)
"""Words that name a state, as exporters and models in use write them; ``hidden_states`` are what a
transformer's layers read."""
_MARKS = re.compile(
    r"(?<![a-z])(in|out|input|output|old|new|prev|previous|next|initial|final|past|present)"
    r"(?![a-z])"
)
_SIGNS, _COUNT = re.compile(r"[^a-z0-9]+"), re.compile(r"[^a-z]+|n$")


def carried(model: ir.Model) -> dict[str, str]:
    """Return the outputs that are fed back, each with the input that takes it.

    Both are called a state, have one type, shapes that fit, and names that differ by no more than
    ``in`` and ``out``, ``new``, ``n`` and the like: ``state`` and ``stateN``, ``h0`` and ``hn``,
    ``h1`` and ``h1_out``. Nothing is carried where no other input is left that frames come in by.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    found: dict[str, str] = {}
    for same in (_numbered, _lettered):
        free = [value for value in inputs if value.name not in found.values()]
        rest = [value for value in model.graph.outputs if value.name not in found]
        found |= _pairs(rest, free, same)
    return found if len(found) < len(inputs) else {}


def _pairs(
    outputs: Sequence[ir.Value],
    inputs: Sequence[ir.Value],
    same: Callable[[ir.Value, ir.Value], bool],
) -> dict[str, str]:
    """Return the outputs that have but one input of the same name, which no other takes."""
    found: dict[str, str] = {}
    for output in outputs:
        takers = [v for v in inputs if _fits(v, output) and same(v, output)]
        if len(takers) == 1 and takers[0].name not in found.values():
            found[str(output.name)] = str(takers[0].name)
    return found


def _fits(one: ir.Value, other: ir.Value) -> bool:
    if not all(_STATE.search(str(value.name).lower()) for value in (one, other)):
        return False
    if one.shape is None or other.shape is None or one.dtype != other.dtype:
        return False
    if one.dtype is None or not one.dtype.is_floating_point():
        return False
    if len(one.shape) != len(other.shape):
        return False
    sizes = [tuple(map(str, pair)) for pair in zip(one.shape, other.shape, strict=True)]
    return all(a == b or not (a.isdigit() and b.isdigit()) for a, b in sizes)


def _numbered(one: ir.Value, other: ir.Value) -> bool:
    """Return whether two names are one but for marks, their numbers included."""
    names = [_SIGNS.sub("", _MARKS.sub("", str(v.name).lower())) for v in (one, other)]
    return names[0] == names[1]


def _lettered(one: ir.Value, other: ir.Value) -> bool:
    """Return whether the letters of two names are one but for marks; only one has a number."""
    texts = [_MARKS.sub("", str(value.name).lower()) for value in (one, other)]
    letters = [_COUNT.sub("", text) for text in texts]
    numbers = [text for text in texts if re.search(r"[0-9]", text)]
    return letters[0] == letters[1] and len(numbers) < 2
