"""What the rules of this family ask of shapes and constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import FLOATS
from onnxopt.rewrite import Decline
from onnxopt.shapes import Dim, parse_dim

Extent: TypeAlias = int | Dim | None
LARGE = 1024
"""From here on a summand may be there to cancel the input."""


def extents(value: ir.Value | None) -> tuple[Extent, ...] | None:
    """Return a shape as integers, polynomials over named extents, and None; None without a rank."""
    found = graph.dims(value)
    if found is None:
        return None
    return tuple(parse_dim(extent) if isinstance(extent, str) else extent for extent in found)


def uniform(value: ir.Value | None) -> float | None:
    """Return the number that all elements of a constant are, exactly; None where they differ."""
    found = graph.array(value, at_most=1 << 16)
    if found is None or found.size == 0 or found.dtype.kind not in "fiub":
        return None
    first = found.flat[0]
    alike = found.size == 1 or (found.flat[-1] == first and bool(np.all(found == first)))
    return float(first) if alike else None


def keeps_shape(x: ir.Value, other: ir.Value, out: ir.Value) -> bool:
    """Return whether broadcasting ``x`` with ``other`` gives the shape of ``x``."""
    small, large = extents(other), extents(x)
    if small is not None and not small:
        return True
    if graph.same_shape(x, out):
        return True
    if small is None or large is None or len(small) > len(large):
        return False
    pairs = zip(small[::-1], large[::-1], strict=False)
    return all(a == 1 or (a is not None and a == b) for a, b in pairs)


def broadcast(*shapes: Sequence[Extent]) -> tuple[Extent, ...]:
    """Return the shape that shapes broadcast to, None for the axes where that is not decided.

    It holds for every operator call that is valid: an extent other than 1 is the result.
    """
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_broadcast_axis(axis) for axis in zip(*padded, strict=True))


def _broadcast_axis(sizes: tuple[Extent, ...]) -> Extent:
    found = list(dict.fromkeys(size for size in sizes if size != 1))
    fixed = [size for size in found if isinstance(size, int)]
    if fixed:
        return fixed[0]
    return 1 if not found else found[0] if len(found) == 1 else None


def target(x: ir.Value, out: ir.Value) -> np.ndarray | None:
    """Return the constant target with which ``Reshape(x, target)`` has the shape of ``out``.

    An extent that ``x`` has at the same place is copied (0), at most one other is left to be worked
    out (-1), and only where no extent is known to be 0. None where that does not do.
    """
    before, after = extents(x), extents(out)
    if before is None or after is None:
        return None
    entries: list[int] = []
    for axis, extent in enumerate(after):
        copied = axis < len(before) and extent is not None and before[axis] == extent
        if isinstance(extent, int) and extent != 0:
            entries.append(extent)
        else:
            entries.append(0 if copied else -1)
    open_ended = entries.count(-1)
    if open_ended > 1 or (open_ended and 0 in after):
        return None
    return np.array(entries, dtype=np.int64)


def reshape_target(x: ir.Value, out: ir.Value) -> np.ndarray:
    """Return ``target``, or raise Decline."""
    found = target(x, out)
    if found is None:
        raise Decline("the shape cannot be written as a constant")
    return found


def first_output_only(node: ir.Node) -> None:
    """Raise Decline where anything reads another output than the first."""
    if any(graph.used(value) for value in node.outputs[1:]):
        raise Decline("another output is used")


def float_array(value: ir.Value, *, at_most: int | None = None) -> np.ndarray:
    """Return a constant of floats in double precision; raises Decline."""
    if value.dtype not in FLOATS:
        raise Decline("not a type of floats")
    found = graph.array(value, at_most=at_most)
    if found is None:
        raise Decline("not a constant, or a large one")
    return found.astype(np.float64)


def sum_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the sum; raises Decline where what is added to a large number matters.

    ``(x + 1.5 * 2**23) - 1.5 * 2**23`` is ``x`` rounded to an integer, and ``(x - 1e6) + 0.3`` is
    exact for an ``x`` near 1e6, where ``x - 999999.7`` is not.
    """
    result: np.ndarray = one + other
    large = np.maximum(np.abs(one), np.abs(other))
    if ((large >= LARGE) & (np.abs(result) < large / 2)).any():
        raise Decline("may round on purpose")
    with np.errstate(over="ignore"):
        exact = (result == result.astype(np.float32)) | (one == 0) | (other == 0)
    if ((large >= LARGE) & ~exact).any():
        raise Decline("the smaller summand would be rounded")
    return result


def merged(result: np.ndarray, like: ir.Value, *parts: np.ndarray) -> np.ndarray:
    """Return a constant worked out of others in the type of ``like``.

    Raises Decline where it is larger than each of its parts, or where the type cannot hold it: no
    part was infinite or zero, and the result is.
    """
    if like.dtype is None or result.size > max(part.size for part in parts):
        raise Decline("the merged constant is larger")
    with np.errstate(over="ignore", under="ignore"):
        rounded = result.astype(like.dtype.numpy())
    if not np.isfinite(rounded).all() or ((rounded == 0) & (result != 0)).any():
        raise Decline("the merged constant is out of range")
    smallest = np.finfo(rounded.dtype).tiny
    if ((np.abs(rounded) < smallest) & (rounded != 0)).any():
        raise Decline("the merged constant is subnormal")
    return rounded
