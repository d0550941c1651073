"""Attention in ONNX's one operator, on a runtime that has a kernel of its own for it."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt import graph, shapes
from onnxopt.base import Context, Gate
from onnxopt.passes.fuse import _magnitude
from onnxopt.passes.raise_opset import RaiseOpset
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rule, RulePass, Var
from onnxopt.rewrite.engine import NamedRule

OPSET = 23
"""The operator set that brought the operator."""
KERNEL = "ai.onnx::Attention"

_CONVERTIBLE = 13
"""The oldest operator set from which a model is raised for the operator's sake."""
_HIDDEN = float(np.finfo(np.float32).min) / 2
"""What hides a score. ONNX Runtime takes a row in which all mask values are the lowest float32 for
one that attends to nothing and gives zeros, where ONNX says that it attends to everything alike;
at half of that, scores vanish in rounding just the same, and the two agree."""

_Dims = tuple[int | str | None, ...]


class Fused(Rule):
    """``Softmax(scale * q k' + mask) v`` between heads split off and put together: ``Attention``.

    Queries, keys and values come as ``[b, s, n, h]`` that is transposed to ``[b, n, s, h]``, and
    the result goes back the same way; these four transposes are what the operator saves, besides
    passes over the scores. Its scale is the product of the constants that queries, keys and scores
    are multiplied by. A guard ``Where(IsNaN(weights), 0, weights)`` moves behind the operator: with
    finite values, a row is NaN there where its weights were.

    The mask must have a query's and a key's extent, or 1 in place of the former. It must be finite,
    or a constant with a finite entry in every row; under a guard, its rows may be -inf throughout.

    On ONNX Runtime 1.31's CPU provider the operator takes .3 to 1 times as long as what it
    replaces, for 1 to 1024 queries and keys, batches to 128 and heads of 8 to 512 numbers: most
    with few queries or under a guard, nothing where the scores leave the cache. It refuses a batch
    or a sequence of no elements at all.
    """

    needs = (KERNEL,)

    def pattern(self, op: PatternOps, weights: Var, v: Var, shape: Var) -> Op:
        heads = op.MatMul(weights, op.Transpose(v, perm=[0, 2, 1, 3]))
        return op.Reshape(op.Transpose(heads, perm=[0, 2, 1, 3]), shape, _name="result")

    def rewrite(
        self,
        op: Builder,
        weights: ir.Value,
        v: ir.Value,
        shape: ir.Value,
        result: ir.Value,
    ) -> ir.Value:
        found = _read(weights)
        q, k, heads = found.query, found.key, _heads(found, v)
        if any(x.dtype != ir.DataType.FLOAT for x in (q, k, v)):
            raise Decline("not in float32")
        mask = _mask(op, found)
        rows = [_rows(op, x, heads) for x in (q, k, v)]
        if mask is not None and found.spread:
            extent = op.Shape(rows[0], start=1, end=2)
            one = np.array([1], np.int64)
            mask = op.Expand(mask, op.Concat(one, one, extent, one, axis=0))
        made = op.Attention(
            *rows,
            *(() if mask is None else (mask,)),
            q_num_heads=heads,
            kv_num_heads=heads,
            scale=found.scale,
        )
        if found.guarded:
            made = op.Where(op.IsNaN(made), np.zeros((), np.float32), made)
        return made if graph.same_shape(made, result) else op.Reshape(made, _beyond(shape))


@dataclasses.dataclass
class _Found:
    """An attention up to its weights: what comes in, and what is done to the scores."""

    query: ir.Value
    key: ir.Value
    scale: float
    mask: ir.Value | None
    guarded: bool
    spread: bool = False
    """The mask is one row for all queries."""


def _read(weights: ir.Value) -> _Found:
    """Walk back from the attention weights to queries and keys; Decline what looks different."""
    node = _inner(weights, "Softmax", "Where")
    guarded = node.op_type == "Where"
    if guarded:
        node = _guarded(node)
    if graph.attr_int(node, "axis", -1) not in (-1, 3):
        raise Decline("not a softmax of rows")
    scores, mask = _split(_operand(node, 0))
    product, scale = _scaled(scores)
    node = _inner(product, "MatMul")
    (query, by), (key, times) = (_scaled(_operand(node, side)) for side in (0, 1))
    scale *= by * times
    if not (math.isfinite(scale) and scale > 0):
        raise Decline("the scale is not positive")
    found = _Found(_unmoved(query, (0, 2, 1, 3)), _unmoved(key, (0, 2, 3, 1)), scale, mask, guarded)
    if mask is not None:
        found.spread = _check_mask(mask, graph.dims(product))
    return found


def _operand(node: ir.Node, index: int) -> ir.Value:
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
    condition, zero, weights = (_operand(where, index) for index in range(3))
    if graph.scalar(zero) != 0 or (graph.rank(zero) or 0) > 4:
        raise Decline("no guard of a softmax")
    if _inner(condition, "IsNaN").inputs[0] is not weights:
        raise Decline("the guard looks at something else")
    return _inner(weights, "Softmax", readers=2)


def _split(scores: ir.Value) -> tuple[ir.Value, ir.Value | None]:
    """Split scores into products and mask."""
    node = _inner(scores, "Add", "Div", "MatMul", "Mul")
    if node.op_type != "Add":
        return scores, None
    for one, other in ((0, 1), (1, 0)):
        product, mask = _operand(node, one), _operand(node, other)
        made = _scaled(product)[0].producer()
        if made is not None and made.op_type == "MatMul" and graph.rank(product) == 4:
            _inner(product, "Div", "MatMul", "Mul")
            return product, mask
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
            return _operand(node, one), factor if node.op_type == "Mul" else 1 / factor
    return value, 1.0


def _unmoved(value: ir.Value, perm: tuple[int, ...]) -> ir.Value:
    """Return the ``[b, s, n, h]`` that was transposed."""
    node = value.producer()
    if node is None or node.op_type != "Transpose" or graph.attr_ints(node, "perm") != perm:
        raise Decline("no heads are split off")
    return _operand(node, 0)


def _heads(found: _Found, v: ir.Value) -> int:
    """Return how many heads there are; Decline batches, heads and lengths that may differ."""
    q, k, w = (_known(x) for x in (found.query, found.key, v))
    if not q[0] == k[0] == w[0] or k[1] != w[1] or q[3] != k[3]:
        raise Decline("queries, keys and values may not fit without broadcasting")
    heads = q[2]
    if not isinstance(heads, int) or not q[2] == k[2] == w[2]:
        raise Decline("keys and values have other heads than queries")
    if not (isinstance(q[3], int) and isinstance(w[3], int)):
        raise Decline("the size of a head is unknown")
    return heads


def _known(value: ir.Value) -> _Dims:
    found = graph.dims(value)
    if found is None or len(found) != 4 or None in found or 0 in found:
        raise Decline("a dimension is unknown or nothing")
    return found


def _rows(op: Builder, x: ir.Value, heads: int) -> ir.Value:
    """Return ``[b, s, n, h]`` as ``[b, s, n h]``."""
    dims = _known(x)
    width = heads * dims[3] if isinstance(dims[3], int) else None
    node = x.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Reshape" else None
    if source is not None and graph.dims(source) == (*dims[:2], width):
        return source
    return op.Reshape(x, np.array([0, 0, width], np.int64))


def _beyond(shape: ir.Value) -> ir.Value:
    """Return a target shape that means the same for ``[b, s, n h]`` as for ``[b, s, n, h]``."""
    wanted = graph.ints(shape)
    if wanted is None or 0 in wanted[2:]:
        raise Decline("the result's shape refers to its heads")
    return shape


def _check_mask(mask: ir.Value, scores: _Dims | None) -> bool:
    """Return whether a mask is one row for all queries; Decline one of another shape."""
    dims = graph.dims(mask)
    if dims is None or scores is None or not 2 <= len(dims) <= 4 or None in dims:
        raise Decline("the mask's shape is unknown")
    full = (1,) * (4 - len(dims)) + dims
    if full[3] != scores[3] or any(full[i] not in (1, scores[i]) for i in range(3)):
        raise Decline("the mask may be broadcast along the keys")
    return full[2] == 1 != scores[2]


def _mask(op: Builder, found: _Found) -> ir.Value | None:
    """Return a mask that the operator takes as the exporter meant it."""
    mask = found.mask
    node = None if mask is None else mask.producer()
    if mask is None or node is None or node.op_type != "Where" or node.domain:
        return None if mask is None else _visible(op, mask, found)
    condition, shown, hidden = (_operand(node, index) for index in range(3))
    if _always(condition) and graph.scalar(shown) == 0:
        return None
    sides = [_side(op, value, found) for value in (shown, hidden)]
    return mask if sides == [shown, hidden] else op.Where(condition, *sides)


def _side(op: Builder, value: ir.Value, found: _Found) -> ir.Value:
    """Return what a mask consists of in one place or other."""
    if found.guarded and graph.scalar(value) == -math.inf:
        return value
    return _visible(op, value, found)


def _visible(op: Builder, mask: ir.Value, found: _Found) -> ir.Value:
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


def _always(condition: ir.Value) -> bool:
    """Return whether a condition is constantly true."""
    node = condition.producer()
    while node is not None and node.op_type in ("Expand", "Identity") and not node.domain:
        condition = _operand(node, 0)
        node = condition.producer()
    held = graph.array(condition)
    return held is not None and bool(held.all())


class _Asked(Gate):
    """Lets nothing through, and knows whether anything wanted to pass."""

    asked = False

    def permit(self, rule: str, value: str) -> bool:
        self.asked = True
        return False


class Attention(RulePass):
    """Attention in ONNX's one operator, on a runtime that has a kernel of its own for it.

    A model of operator set 13 to 22 is raised to 23, which brought the operator, where that gives
    at least one; one with subgraphs, functions or operators outside ONNX stays as it is.
    """

    rules: ClassVar[tuple[NamedRule, ...]] = (NamedRule("attention", Fused()),)

    def run(self, model: ir.Model, context: Context) -> int:
        """Raise the operator set where it pays, then apply the rule."""
        raised = 0
        if graph.opset(model) < OPSET:
            if KERNEL not in context.target.operators or not _convertible(model):
                return 0
            gate = _Asked()
            super().run(model, dataclasses.replace(context, gate=gate))
            if not gate.asked:
                return 0
            raised = RaiseOpset(to=OPSET).run(model, context)
            if not raised:
                return 0
            shapes.infer(model)
        return raised + super().run(model, context)


def _convertible(model: ir.Model) -> bool:
    """Return whether raising the operator set is known to be safe."""
    if graph.opset(model) < _CONVERTIBLE or model.functions:
        return False
    plain = (not node.domain and not list(graph.subgraphs(node)) for node in model.graph)
    return all(plain)
