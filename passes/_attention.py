"""Reading an attention back from its weights, and what its mask must become."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import onnx_ir as ir

from onnxopt import graph, shapes
from onnxopt.passes.fuse import _magnitude
from onnxopt.passes.simplify._index import constantly
from onnxopt.rewrite import Builder, Decline

_HIDDEN = float(np.finfo(np.float32).min) / 2
"""What hides a score. ONNX Runtime takes a row in which all mask values are the lowest float32 for
one that attends to nothing and gives zeros, where ONNX says that it attends to everything alike;
at half of that, scores vanish in rounding just the same, and the two agree."""

_FAR = -1e30
"""A score from here on down vanishes beside any other, and any other does when it is added."""

Extents = tuple[int | shapes.Dim | None, ...]


@dataclasses.dataclass
class Found:
    """An attention up to its weights: ``Softmax(scale * query key + mask)``."""

    query: ir.Value
    key: ir.Value
    scale: float
    masks: list[ir.Value]
    guarded: bool
    spread: bool = False
    """The mask is one row for all queries."""
    shown: ir.Value | None = None
    """A condition without which a score is replaced by ``low``."""
    low: float = 0.0


def read(weights: ir.Value) -> Found:
    """Walk back from the attention weights to queries and keys; Decline what looks different."""
    node = _inner(weights, "Softmax", "Where")
    guarded = node.op_type == "Where"
    if guarded:
        node = _guarded(node)
    if graph.attr_int(node, "axis", -1) not in (-1, 3):
        raise Decline("not a softmax of rows")
    scores, shown, low = _filled(operand(node, 0))
    scores, masks = _split(scores)
    product, scale = _scaled(scores)
    node = _inner(product, "MatMul")
    (query, by), (key, times) = (_scaled(operand(node, side)) for side in (0, 1))
    scale *= by * times
    if not (math.isfinite(scale) and scale > 0):
        raise Decline("the scale is not positive")
    seen = masks if shown is None else [*masks, shown]
    rows = [_check_mask(each, extents(product)) for each in seen]
    return Found(query, key, scale, masks, guarded, bool(rows) and all(rows), shown, low)


def operand(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    if value is None:
        raise Decline("an operand is absent")
    return value


def _inner(value: ir.Value, *op_types: str, readers: int = 1) -> ir.Node:
    """Return the node behind a value that so many inputs read."""
    node = value.producer()
    if node is None or node.domain or node.op_type not in op_types:
        raise Decline(f"no {' or '.join(op_types)} where an attention has it")
    if value.is_graph_output() or len(value.uses()) != readers:
        raise Decline("others read what the operator would hide")
    return node


def _guarded(where: ir.Node) -> ir.Node:
    """Return the softmax that is guarded against rows of NaN."""
    condition, zero, weights = (operand(where, index) for index in range(3))
    if graph.scalar(zero) != 0 or (graph.rank(zero) or 0) > 4:
        raise Decline("no guard of a softmax")
    if _inner(condition, "IsNaN").inputs[0] is not weights:
        raise Decline("the guard looks at something else")
    return _inner(weights, "Softmax", readers=2)


def _filled(scores: ir.Value) -> tuple[ir.Value, ir.Value | None, float]:
    """Take ``Where(shown, scores, low)`` apart, where low is far below any score."""
    made = scores.producer()
    if made is None or made.op_type != "Where":
        return scores, None, 0.0
    shown, kept, low = (operand(_inner(scores, "Where"), index) for index in range(3))
    number = graph.scalar(low)
    if number is None or number > _FAR or (graph.rank(low) or 0) > 4:
        raise Decline("a score is replaced by one that may count")
    return kept, shown, number


def _split(scores: ir.Value) -> tuple[ir.Value, list[ir.Value]]:
    """Split scores into products and the masks that are added to them."""
    node = _inner(scores, "Add", "Div", "MatMul", "Mul")
    if node.op_type != "Add":
        return scores, []
    for one, other in ((0, 1), (1, 0)):
        product, mask = operand(node, one), operand(node, other)
        made = _scaled(product)[0].producer()
        if made is not None and made.op_type == "MatMul" and graph.rank(product) == 4:
            _inner(product, "Div", "MatMul", "Mul")
            return product, [mask]
    for one, other in ((0, 1), (1, 0)):
        inner = operand(node, one).producer()
        if inner is not None and inner.op_type == "Add" and not inner.domain:
            product, masks = _split(operand(node, one))
            return product, [*masks, operand(node, other)]
    raise Decline("no product is masked")


def _scaled(value: ir.Value) -> tuple[ir.Value, float]:
    """Return what a value is a multiple of, and by what factor."""
    node = value.producer()
    if node is None or node.domain or node.op_type not in ("Mul", "Div"):
        return value, 1.0
    pairs = ((0, 1),) if node.op_type == "Div" else ((0, 1), (1, 0))
    for one, other in pairs:
        factor = graph.scalar(node.inputs[other])
        if factor and (graph.rank(node.inputs[other]) or 0) <= 4:
            return operand(node, one), factor if node.op_type == "Mul" else 1 / factor
    return value, 1.0


def unmoved(value: ir.Value, perm: tuple[int, ...]) -> ir.Value:
    """Return the ``[b, s, n, h]`` that was transposed."""
    node = value.producer()
    if node is None or node.op_type != "Transpose" or graph.attr_ints(node, "perm") != perm:
        raise Decline("no heads are split off")
    return operand(node, 0)


def extents(value: ir.Value) -> Extents | None:
    """Return a value's shape, names read as what they stand for; None where its rank is unknown."""
    dims = graph.dims(value)
    if dims is None:
        return None
    return tuple(shapes.parse_dim(d) if isinstance(d, str) else d for d in dims)


def known(value: ir.Value) -> Extents:
    found = extents(value)
    if found is None or len(found) != 4 or None in found or 0 in found:
        raise Decline("a dimension is unknown or nothing")
    return found


def _check_mask(mask: ir.Value, scores: Extents | None) -> bool:
    """Return whether a mask is one row for all queries; Decline one of another shape."""
    dims = extents(mask)
    if dims is None or scores is None or not 2 <= len(dims) <= 4 or None in dims:
        raise Decline("the mask's shape is unknown")
    full = (1,) * (4 - len(dims)) + dims
    if full[3] != scores[3] or any(full[i] not in (1, scores[i]) for i in range(3)):
        raise Decline("the mask may be broadcast along the keys")
    return full[2] == 1 != scores[2]


def prepared(op: Builder, found: Found) -> ir.Value | None:
    """Return a mask that the operator takes as the exporter meant it."""
    mask = _summand(op, found)
    if found.shown is None:
        return mask
    if found.low == -math.inf and not found.guarded:
        raise Decline("the mask may hide all of a row")
    low = found.low if found.low == -math.inf else max(found.low, _HIDDEN)
    numbers = [np.array(number, np.float32) for number in (0.0, low)]
    return op.Where(found.shown, numbers[0] if mask is None else mask, numbers[1])


def _summand(op: Builder, found: Found) -> ir.Value | None:
    """Return the mask that is added to the scores: the sum, where there are several."""
    if not found.masks:
        return None
    mask = functools.reduce(op.Add, found.masks)
    if constantly(mask) == 0:
        return None
    node = mask.producer()
    if node is None or node.op_type != "Where" or node.domain:
        return _visible(op, mask, found)
    condition, shown, hidden = (operand(node, index) for index in range(3))
    if constantly(condition) == 1 and graph.scalar(shown) == 0:
        return None
    sides = [_side(op, value, found) for value in (shown, hidden)]
    return mask if sides == [shown, hidden] else op.Where(condition, *sides)


def _side(op: Builder, value: ir.Value, found: Found) -> ir.Value:
    """Return what a mask consists of in one place or other."""
    if found.guarded and graph.scalar(value) == -math.inf:
        return value
    return _visible(op, value, found)


def _visible(op: Builder, mask: ir.Value, found: Found) -> ir.Value:
    """Keep a mask's values from what the runtime takes for a row without anything to attend to."""
    bound = _magnitude.bound(mask)
    held = graph.array(mask)
    excused = found.guarded and held is not None
    if bound is None and not excused and not _magnitude.keeps_rows(mask):
        raise Decline("the mask may hide all of a row")
    if held is not None:
        low = held.dtype.type(_HIDDEN)
        lowest = (held < low) & (held > -np.inf)
        return op.constant(np.where(lowest, low, held)) if lowest.any() else mask
    return mask if bound is not None and bound < -_HIDDEN else op.Max(mask, _HIDDEN)
