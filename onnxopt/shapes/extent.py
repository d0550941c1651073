"""Arithmetic on extents that may be unknown: None in, None out; None for what grows too large."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from onnxopt.shapes import bounds, dim
from onnxopt.shapes.dim import Dim

Extent: TypeAlias = int | Dim | None
"""The size of one axis, None when nothing is known of it."""
Dims: TypeAlias = tuple[Extent, ...]

HEAVIEST = 400
"""Sizes whose text is longer than about this many characters are given up."""
LARGEST = 1 << 62


def bounded(size: int | Dim) -> Extent:
    """Return the size, or None when it has grown out of all proportion."""
    if isinstance(size, int):
        return size if -LARGEST < size < LARGEST else None
    return size if dim.weight(size) <= HEAVIEST else None


def plus(a: Extent, b: Extent) -> Extent:
    """Return ``a + b``."""
    return None if a is None or b is None else bounded(a + b)


def minus(a: Extent, b: Extent) -> Extent:
    """Return ``a - b``."""
    return None if a is None or b is None else bounded(a - b)


def times(a: Extent, b: Extent) -> Extent:
    """Return ``a * b``; zero times anything is zero."""
    if a == 0 or b == 0:
        return 0
    return None if a is None or b is None else bounded(a * b)


def over(a: Extent, b: Extent) -> Extent:
    """Return ``floor(a / b)``, None for a division by zero."""
    return None if a is None or b is None or b == 0 else bounded(dim.floor_div(a, b))


def over_up(a: Extent, b: Extent) -> Extent:
    """Return ``ceil(a / b)``, written with floor so that equal quotients are equal."""
    return over(minus(plus(a, b), 1), b)


def exactly(a: Extent, b: Extent) -> Extent:
    """Return ``a / b`` where that is a polynomial, None otherwise."""
    return None if a is None or b is None else dim.exact_div(a, b)


def total(extents: Iterable[Extent]) -> Extent:
    """Return the sum."""
    result: Extent = 0
    for extent in extents:
        result = plus(result, extent)
    return result


def product(extents: Iterable[Extent]) -> Extent:
    """Return the product: the number of elements of a shape."""
    result: Extent = 1
    for extent in extents:
        result = times(result, extent)
    return result


def largest(a: Extent, b: Extent) -> Extent:
    """Return the larger one."""
    return None if a is None or b is None else bounded(bounds.maximum(a, b))


def smallest(a: Extent, b: Extent) -> Extent:
    """Return the smaller one."""
    return None if a is None or b is None else bounded(bounds.minimum(a, b))


def compare(a: Extent, b: Extent) -> int | None:
    """Return -1, 0 or 1 where the order of two sizes is the same for all extents, else None."""
    if a is None or b is None:
        return None
    if a == b:
        return 0
    if bounds.at_least(a, b + 1):
        return 1
    return -1 if bounds.at_least(b, a + 1) else None


def static(dims: Dims | None) -> tuple[int, ...] | None:
    """Return a shape whose extents are all numbers, None for any other."""
    if dims is None:
        return None
    numbers = tuple([extent for extent in dims if isinstance(extent, int)])
    return numbers if len(numbers) == len(dims) else None


def evaluated(size: Extent, sizes: Mapping[str, int]) -> Extent:
    """Return the number that a size is where all its names have these sizes, else the size."""
    if isinstance(size, Dim) and not size.hidden and size.symbols() <= sizes.keys():
        return size.evaluate(dict(sizes))
    return size
