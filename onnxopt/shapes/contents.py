"""Arithmetic on the contents of small tensors, item by item.

An item is a number, a boolean, a `Dim` (in a tensor of integers, or of floats that were cast from
integers), or None. Results that the element type cannot hold are unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxopt.shapes import extent
from onnxopt.shapes.bounds import lower
from onnxopt.shapes.dim import Dim, exact_div, floor_div
from onnxopt.shapes.extent import Dims, static
from onnxopt.shapes.fact import LARGEST_CONTENT, Content, Item

Unary: TypeAlias = Callable[[Item], Item]
Binary: TypeAlias = Callable[[Item, Item], Item]

INTEGERS = frozenset({ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL})
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE})
FOLLOWED = INTEGERS | FLOATS
"""Element types whose contents are followed."""


def fits(item: Item, dtype: ir.DataType) -> Item:
    """Return the item as the element type holds it, None where it does not."""
    if item is None or isinstance(item, Dim):
        return item
    if dtype is ir.DataType.FLOAT:
        return float(np.float32(item))
    if dtype is ir.DataType.DOUBLE:
        return float(item)
    if isinstance(item, float):
        return None
    if dtype is ir.DataType.BOOL:
        return bool(item)
    bits = 31 if dtype is ir.DataType.INT32 else 63
    return int(item) if -(1 << bits) <= item < 1 << bits else None


def followed(dtype: ir.DataType | None, dims: Dims | None) -> tuple[int, ...] | None:
    """Return the shape of a tensor whose content is followed, None for any other."""
    if dtype not in FOLLOWED or dims is None or len(dims) > 8:
        return None
    shape = static(dims)
    return shape if shape is not None and math.prod(shape) <= most_followed(dtype) else None


def most_followed(dtype: ir.DataType | None) -> int:
    """Return how many elements a tensor may have; of floats only scales and bounds matter."""
    return LARGEST_CONTENT if dtype in INTEGERS else 64


def array(content: Content, shape: tuple[int, ...]) -> np.ndarray:
    """Return the content as an array of objects, so that numpy can move it about."""
    result = np.empty(len(content), dtype=object)
    result[:] = content
    return result.reshape(shape)


def flat(items: np.ndarray) -> Content:
    """Return an array of objects as content."""
    return tuple(items.reshape(-1).tolist())


def stretched(content: Content, dims: Dims | None, shape: tuple[int, ...]) -> Content | None:
    """Return the content broadcast to a shape."""
    own = static(dims)
    if own == shape:
        return content
    if own is None or math.prod(own) != len(content):
        return None
    if len(content) == 1:
        return content * math.prod(shape)
    return flat(np.broadcast_to(array(content, own), shape))


def _add(a: Item, b: Item) -> Item:
    return None if a is None or b is None else _bounded(a + b)  # type: ignore[operator]


def _sub(a: Item, b: Item) -> Item:
    return None if a is None or b is None else _bounded(a - b)  # type: ignore[operator]


def _mul(a: Item, b: Item) -> Item:
    if a is None or b is None:
        return 0 if (a == 0 and type(a) is int) or (b == 0 and type(b) is int) else None
    if isinstance(a, Dim) and isinstance(b, float):
        a, b = b, a
    if isinstance(a, float) and isinstance(b, Dim):
        return _bounded(b * int(a)) if a.is_integer() else None
    return _bounded(a * b)  # type: ignore[operator]


def _div(a: Item, b: Item) -> Item:
    """Divide: integers towards zero, floats exactly (a Dim only where that leaves a Dim)."""
    if a is None or b is None or b == 0:
        return None
    if isinstance(a, Dim) or isinstance(b, Dim):
        return _div_dim(a, b)
    if isinstance(a, float) or isinstance(b, float):
        return a / b
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _div_dim(a: int | float | Dim, b: int | float | Dim) -> Item:
    if isinstance(a, float) or isinstance(b, float):
        if not isinstance(a, Dim | int) and not a.is_integer():
            return None
        if not isinstance(b, Dim | int) and not b.is_integer():
            return None
        return exact_div(_whole(a), _whole(b))
    exact = exact_div(a, b)
    if exact is not None:
        return exact
    low_a, low_b = lower(a), lower(b)
    if low_a is None or low_a < 0 or low_b is None or low_b < 0:
        return None
    return _bounded(floor_div(a, b))


def _whole(a: int | float | Dim) -> int | Dim:
    return a if isinstance(a, Dim) else int(a)


def _mod(a: Item, b: Item) -> Item:
    if a is None or b is None or b == 0 or isinstance(a, float) or isinstance(b, float):
        return None
    return _bounded(a % b)


def _max(a: Item, b: Item) -> Item:
    if isinstance(a, float) or isinstance(b, float):
        return (
            None
            if isinstance(a, Dim) or isinstance(b, Dim) or a is None or b is None
            else max(a, b)
        )
    return extent.largest(a, b)


def _min(a: Item, b: Item) -> Item:
    if isinstance(a, float) or isinstance(b, float):
        return (
            None
            if isinstance(a, Dim) or isinstance(b, Dim) or a is None or b is None
            else min(a, b)
        )
    return extent.smallest(a, b)


def _pow(a: Item, b: Item) -> Item:
    if b == 0.5 and isinstance(a, int | float) and a >= 0 and float(a).is_integer():
        root = math.isqrt(int(a))
        return type(a)(root) if root * root == a else None
    if not isinstance(b, int) or not 0 <= b <= 8 or a is None:
        return None
    result: Item = 1
    for _ in range(b):
        result = _mul(result, a)
    return result


def _order(a: Item, b: Item) -> int | None:
    """Return the sign of ``a - b`` where it is the same whatever the extents are."""
    if a is None or b is None:
        return None
    if isinstance(a, Dim) or isinstance(b, Dim):
        if isinstance(a, float) or isinstance(b, float):
            return None
        return extent.compare(a, b)
    return (a > b) - (a < b)


def _comparison(holds: Callable[[int], bool]) -> Binary:
    def compare(a: Item, b: Item) -> Item:
        sign = _order(a, b)
        return None if sign is None else holds(sign)

    return compare


def _and(a: Item, b: Item) -> Item:
    if a is False or b is False:
        return False
    return None if a is None or b is None else bool(a) and bool(b)


def _or(a: Item, b: Item) -> Item:
    if a is True or b is True:
        return True
    return None if a is None or b is None else bool(a) or bool(b)


def _bounded(item: Item) -> Item:
    return extent.bounded(item) if isinstance(item, Dim) else item


def _rounded(rounding: Callable[[float], int]) -> Unary:
    def apply(a: Item) -> Item:
        return float(rounding(a)) if isinstance(a, float) and math.isfinite(a) else _not_float(a)

    return apply


def _not_float(a: Item) -> Item:
    return None if isinstance(a, float) else a


def cast_item(item: Item, dtype: ir.DataType) -> Item:
    """Cast one item: to bool by comparing with zero, to integer towards zero."""
    if dtype is ir.DataType.BOOL:
        sign = _order(item, 0)
        if sign is None and isinstance(item, Dim):
            return None
        return None if sign is None else sign != 0
    if isinstance(item, float) and dtype in INTEGERS:
        return fits(math.trunc(item), dtype) if math.isfinite(item) else None
    return fits(item, dtype)


def choose(condition: Item, a: Item, b: Item) -> Item:
    """Return what Where takes; where that is open, the item if both are the same."""
    if condition is None:
        return a if a == b and type(a) is type(b) else None
    return a if condition else b


UNARY: dict[str, Unary] = {
    "Identity": lambda a: a,
    "Neg": lambda a: None if a is None else -a,
    "Abs": lambda a: _max(a, None if a is None else -a),
    "Not": lambda a: None if a is None else not a,
    "Floor": _rounded(math.floor),
    "Ceil": _rounded(math.ceil),
    "Round": _rounded(round),
    "Sqrt": lambda a: math.sqrt(a) if isinstance(a, float) and a >= 0 else None,
    "Reciprocal": lambda a: 1 / a if isinstance(a, float) and a else None,
}

BINARY: dict[str, Binary] = {
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Mod": _mod,
    "Max": _max,
    "Min": _min,
    "Pow": _pow,
    "Sum": _add,
    "Equal": _comparison(lambda sign: sign == 0),
    "Greater": _comparison(lambda sign: sign > 0),
    "GreaterOrEqual": _comparison(lambda sign: sign >= 0),
    "Less": _comparison(lambda sign: sign < 0),
    "LessOrEqual": _comparison(lambda sign: sign <= 0),
    "And": _and,
    "Or": _or,
}
