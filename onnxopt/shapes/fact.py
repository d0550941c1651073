"""What is known of one value, and how two such facts meet."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import onnx_ir as ir

from onnxopt.shapes.dim import Dim
from onnxopt.shapes.extent import Dims, Extent

Item: TypeAlias = int | float | Dim | None
Content: TypeAlias = tuple[Item, ...]
"""The elements of a small tensor, row by row; bool for booleans, None where unknown."""

LARGEST_CONTENT = 1024
"""Tensors of more elements are never followed nor read."""


class Contradiction(Exception):  # noqa: N818 (it is about the model; nobody sees it raised)
    """The node cannot be run on inputs like these; the text says why, in one clause."""


class Fact(NamedTuple):
    """Element type, shape and, of a small tensor, content; None for what is not known.

    ``type`` is given for sequences and optionals only; ``shape`` is then that of their tensors.
    """

    dtype: ir.DataType | None = None
    shape: Dims | None = None
    content: Content | None = None
    type: ir.TypeProtocol | None = None


NOTHING = Fact()


def broadcast(a: Dims | None, b: Dims | None) -> Dims | None:
    """Return the shape of an elementwise operation on two shapes, as numpy has it.

    Of a name and a number above 1 the number wins: a model that runs has 1 or the number there.
    Two names that are not provably equal leave the extent unknown.
    """
    if a is None or b is None:
        return None
    if a == b:
        return a
    if len(a) < len(b):
        a, b = b, a
    lead = len(a) - len(b)
    return a[:lead] + tuple(map(_meet, a[lead:], b))


def _meet(a: Extent, b: Extent) -> Extent:
    if a is b or a == 1:
        return b
    if b == 1 or (a == b and a is not None):
        return a
    if isinstance(a, int):
        if isinstance(b, int):
            raise Contradiction(f"extents {a} and {b} do not broadcast")
        return a
    if isinstance(b, int):
        return b
    return a if _clipped(b, a) else b if _clipped(a, b) else None


def _clipped(a: Extent, b: Extent) -> bool:
    """Return whether a is ``min(b, k)``, ``max(b, 1)`` or ``max(b, 0)``.

    Where such an a differs from b, the two cannot be broadcast (or, for an empty axis b, a is 1),
    so that the result is b.
    """
    atom = a.atom() if isinstance(a, Dim) else None
    if atom is None or b not in atom.args:
        return False
    others = [arg for arg in atom.args if arg != b]
    if atom.kind == "max":
        return others in ([0], [1])
    return atom.kind == "min" and all(isinstance(arg, int) and arg > 0 for arg in others)


def same(a: Extent, b: Extent) -> Extent:
    """Return the extent of one axis that two tensors must share; a number beats a name."""
    if a is None or (isinstance(b, int) and not isinstance(a, int)):
        return b
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise Contradiction(f"extents {a} and {b} should be equal")
    return a


def join(a: Fact, b: Fact) -> Fact:
    """Return what holds of a value that is the one or the other."""
    if a == b:
        return a
    if a.dtype is not b.dtype or a.type != b.type:
        return NOTHING
    if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return Fact(a.dtype, None, None, a.type)
    shape = tuple(x if x == y else None for x, y in zip(a.shape, b.shape, strict=True))
    content = None
    if a.content is not None and b.content is not None and len(a.content) == len(b.content):
        pairs = zip(a.content, b.content, strict=True)
        content = tuple(x if x == y else None for x, y in pairs)
    return Fact(a.dtype, shape, content, a.type)
