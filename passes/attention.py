"""Attention in ONNX's one operator, on a runtime that has a kernel of its own for it."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt import graph, shapes
from onnxopt.base import Context, Gate
from onnxopt.passes import _attention
from onnxopt.passes._attention import Extents, extents
from onnxopt.passes.raise_opset import RaiseOpset
from onnxopt.rewrite import Builder, Decline, Op, PatternOps, Rest, Rule, RulePass, Var
from onnxopt.rewrite.engine import NamedRule

OPSET = 23
"""The operator set that brought the operator."""
KERNELS = frozenset(("ai.onnx::Attention", "com.microsoft::MultiHeadAttention"))
"""The operator, and the one that it becomes where the runtime has that."""

_LANES = 4
"""Heads, times the batch where it is known, from which the operator is used. The kernel shares its
work among threads by heads and batches only: one head of 512 queries and keys takes two threads
1.4 times as long as the products that it replaces."""


class BetweenProjections(Rule):
    """``Softmax(scale * q k' + mask) v`` between heads split off and put together: ``Attention``.

    Queries, keys and values come as ``[b, s, n, h]`` that is transposed to ``[b, n, s, h]``, and
    the result goes back the same way; these four transposes are what the operator saves, besides
    passes over the scores. Its scale is the product of the constants that queries, keys and scores
    are multiplied by. The operator is its own guard ``Where(IsNaN(weights), 0, weights)``; for a
    runtime whose operator is not, the guard moves behind it: with finite values, a row is NaN there
    where its weights were.

    The mask must have a query's and a key's extent, or 1 in place of the former. It must be finite,
    or a constant with a finite entry in every row; under a guard, its rows may be -inf throughout.

    On ONNX Runtime 1.31's CPU provider the operator takes .3 to 1 times as long as what it
    replaces, for 1 to 1024 queries and keys, batches to 128 and heads of 8 to 512 numbers: most
    with few queries or under a guard, nothing where the scores leave the cache. That is on one
    thread or two; with more threads than heads, long sequences gain less. The kernel refuses a
    batch or a sequence of no elements at all.
    """

    def pattern(self, op: PatternOps, rest: Rest, v: Var, shape: Var) -> Op:
        weights = op.one_of("Softmax", "Where")(rest, _name="weights")
        heads = op.MatMul(weights, op.Transpose(v, perm=[0, 2, 1, 3]))
        return op.Reshape(op.Transpose(heads, perm=[0, 2, 1, 3]), shape, _name="result")

    def rewrite(
        self, op: Builder, weights: ir.Value, v: ir.Value, shape: ir.Value, result: ir.Value
    ) -> ir.Value:
        found = _attention.read(weights)
        q = _attention.unmoved(found.query, (0, 2, 1, 3))
        k = _attention.unmoved(found.key, (0, 2, 3, 1))
        heads = _fitting(*(_attention.known(x) for x in (q, k, v)))
        mask = _attention.prepared(op, found)
        rows = [_rows(op, x, heads) for x in (q, k, v)]
        counts = {"q_num_heads": heads, "kv_num_heads": heads}
        made = _attend(op, rows, mask, found, axis=1, **counts)
        return made if graph.same_shape(made, result) else op.Reshape(made, _beyond(shape))


class BetweenHeads(Rule):
    """The same for ``[b, n, s, h]`` that something else than a transpose made, such as a cache.

    Keys and values that several queries share go in once: not repeated by Unsqueeze, Expand and
    Reshape. On the CPU provider this takes .5 to 1 times as long, least with few queries.
    """

    def pattern(self, op: PatternOps, rest: Rest, v: Var) -> Op:
        return op.MatMul(op.one_of("Softmax", "Where")(rest, _name="weights"), v)

    def rewrite(self, op: Builder, root: ir.Node, weights: ir.Value, v: ir.Value) -> ir.Value:
        found = _attention.read(weights)
        q, k = found.query, _key(op, found.key, root)
        few = _unrepeated(k), _unrepeated(v)
        if few[0] is k or few[1] is v:
            few = k, v
        _fitting(*(_swapped(_attention.known(x)) for x in (q, *few)))
        return _attend(op, [q, *few], _attention.prepared(op, found), found, axis=2)


def _key(op: Builder, key: ir.Value, product: ir.Node) -> ir.Value:
    """Return the keys ``[b, n, s, h]`` that were transposed, by themselves or with their heads.

    In the latter case only where the result is not transposed back, which `BetweenProjections` does
    without any transposition.
    """
    node = key.producer()
    back = any(user.op_type == "Transpose" for user in product.outputs[0].consumers())
    if node is not None and graph.attr_ints(node, "perm") == (0, 2, 3, 1) and not back:
        return op.Transpose(_attention.unmoved(key, (0, 2, 3, 1)), perm=[0, 2, 1, 3])
    return _attention.unmoved(key, (0, 1, 3, 2))


def _attend(
    op: Builder,
    inputs: list[ir.Value],
    mask: ir.Value | None,
    found: _attention.Found,
    *,
    axis: int,
    q_num_heads: int | None = None,
    kv_num_heads: int | None = None,
) -> ir.Value:
    """Build the operator; ``axis`` is that of a query's extent."""
    if any(x.dtype != ir.DataType.FLOAT for x in inputs):
        raise Decline("not in float32")
    if mask is not None and found.spread:
        extent = op.Shape(inputs[0], start=axis, end=axis + 1)
        one = np.array([1], np.int64)
        mask = op.Expand(mask, op.Concat(one, one, extent, one, axis=0))
    made = op.Attention(
        *inputs,
        *(() if mask is None else (mask,)),
        q_num_heads=q_num_heads,
        kv_num_heads=kv_num_heads,
        scale=found.scale,
    )
    if found.guarded and not op.context.target.zero_rows:
        made = op.Where(op.IsNaN(made), np.zeros((), np.float32), made)
    return made


def _fitting(q: Extents, k: Extents, v: Extents) -> int:
    """Return how many heads queries ``[b, s, n, h]`` have, a multiple of those of keys and values.

    Declines batches and lengths that may differ.
    """
    if not q[0] == k[0] == v[0] or k[1] != v[1] or q[3] != k[3]:
        raise Decline("queries, keys and values may not fit without broadcasting")
    heads, shared = q[2], k[2]
    if not isinstance(heads, int) or not isinstance(shared, int) or v[2] != shared:
        raise Decline("the number of heads is unknown")
    if heads % shared:
        raise Decline("keys are not shared evenly")
    if heads * _least(q[0]) < _LANES:
        raise Decline("too few heads for threads to share")
    if not (isinstance(q[3], int) and isinstance(v[3], int)):
        raise Decline("the size of a head is unknown")
    return heads


def _least(batch: int | shapes.Dim | None) -> int:
    """Return what a batch is at least, where it is not empty: ``64 n`` are 64."""
    if isinstance(batch, shapes.Dim):
        return math.gcd(*(factor for _, factor in batch.terms))
    return batch or 1


def _swapped(dims: Extents) -> Extents:
    return dims[0], dims[2], dims[1], dims[3]


def _rows(op: Builder, x: ir.Value, heads: int) -> ir.Value:
    """Return ``[b, s, n, h]`` as ``[b, s, n h]``."""
    dims = _attention.known(x)
    width = heads * dims[3] if isinstance(dims[3], int) else None
    node = x.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Reshape" else None
    if source is not None and extents(source) == (*dims[:2], width):
        return source
    return op.Reshape(x, np.array([0, 0, width], np.int64))


def _unrepeated(x: ir.Value) -> ir.Value:
    """Return the ``[b, n, s, h]`` whose heads were each repeated g times in a row, else x."""
    reshape = x.producer()
    expand = None if reshape is None or reshape.op_type != "Reshape" else _source(reshape, "Expand")
    unsqueeze = None if expand is None else _source(expand, "Unsqueeze")
    if reshape is None or expand is None or unsqueeze is None:
        return x
    few = _attention.operand(unsqueeze, 0)
    after, wide, dims = extents(x), extents(expand.outputs[0]), extents(few)
    if after is None or wide is None or dims is None or len(dims) != 4 or len(wide) != 5:
        return x
    heads, times = dims[1], wide[2]
    if not (isinstance(heads, int) and isinstance(times, int)) or None in (*after, *wide):
        return x
    single = extents(unsqueeze.outputs[0]) == (*dims[:2], 1, *dims[2:])
    spread = wide == (*dims[:2], times, *dims[2:])
    return few if single and spread and after == (dims[0], heads * times, *dims[2:]) else x


def _source(node: ir.Node, op_type: str) -> ir.Node | None:
    found = _attention.operand(node, 0).producer()
    return found if found is not None and found.op_type == op_type and not found.domain else None


def _beyond(shape: ir.Value) -> ir.Value:
    """Return a target shape that means the same for ``[b, s, n h]`` as for ``[b, s, n, h]``."""
    wanted = graph.ints(shape)
    if wanted is None or 0 in wanted[2:]:
        raise Decline("the result's shape refers to its heads")
    return shape


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

    rules: ClassVar[tuple[NamedRule, ...]] = (
        NamedRule("attention:between-projections", BetweenProjections()),
        NamedRule("attention:between-heads", BetweenHeads()),
    )

    def run(self, model: ir.Model, context: Context) -> int:
        """Raise the operator set where it pays, then apply the rules."""
        raised = 0
        if KERNELS.isdisjoint(context.target.operators):
            return 0
        if graph.opset(model) < OPSET:
            gate = _Asked()
            super().run(model, dataclasses.replace(context, gate=gate))
            if not gate.asked:
                return 0
            raised = RaiseOpset(to=OPSET, plain=True).run(model, context)
            if not raised:
                return 0
            shapes.infer(model)
        return raised + super().run(model, context)
