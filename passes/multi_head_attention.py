"""ONNX's attention as the runtime's own operator, which has more kernels on GPUs."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.fuse import _magnitude
from onnxopt.rewrite import Builder, Decline, Op, Opt, PatternOps, Rule, RulePass, Var
from onnxopt.rewrite.engine import NamedRule

KERNEL = "com.microsoft::MultiHeadAttention"
_DOMAIN = "com.microsoft"


class FromAttention(Rule):
    """``Attention(q, k, v, mask)`` of ``[b, s, n h]`` becomes MultiHeadAttention.

    With as many heads of keys and values as of queries. A mask becomes the bias that is added to
    the scores; where it may hide a whole row, Attention gives zeros and the other may give NaN,
    which a Where behind it turns into zeros.
    """

    since = 23
    needs = (KERNEL,)

    def pattern(self, op: PatternOps, q: Var, k: Var, v: Var, mask: Opt) -> Op:
        return op.Attention(q, k, v, mask)

    def rewrite(
        self,
        op: Builder,
        root: ir.Node,
        q: ir.Value,
        k: ir.Value,
        v: ir.Value,
        mask: ir.Value | None,
    ) -> ir.Value:
        heads = _heads(root, q)
        bias = None if mask is None else _bias(op, mask)
        made = op.MultiHeadAttention(
            q,
            k,
            v,
            *(() if bias is None else (None, None, bias)),
            _domain=_DOMAIN,
            num_heads=heads,
            scale=root.attributes.get("scale"),
        )
        if bias is None or _shows_something(bias):
            return made
        return op.Where(op.IsNaN(made), np.zeros((), np.float32), made)


def _heads(node: ir.Node, q: ir.Value) -> int:
    heads = graph.attr_int(node, "q_num_heads", 0)
    if graph.rank(q) != 3 or heads == 0 or graph.attr_int(node, "kv_num_heads", 0) != heads:
        raise Decline("keys are shared, or the heads are an axis")
    if graph.attr_int(node, "is_causal", 0) or graph.attr_float(node, "softcap", 0.0):
        raise Decline("scores are more than scaled and masked")
    if any(graph.used(value) for value in node.outputs[1:]) or q.dtype != ir.DataType.FLOAT:
        raise Decline("another output is read, or not in float32")
    return heads


def _bias(op: Builder, mask: ir.Value) -> ir.Value:
    """Return the mask with all four axes: batch, heads, queries, keys."""
    rank = graph.rank(mask)
    if mask.dtype != ir.DataType.FLOAT or rank is None or rank > 4:
        raise Decline("not a mask that is added")
    if rank == 4:
        return mask
    return op.Unsqueeze(mask, np.arange(4 - rank))


def _shows_something(mask: ir.Value) -> bool:
    """Return whether no row of a mask is -inf throughout."""
    return _magnitude.bound(mask) is not None or _magnitude.keeps_rows(mask)


class MultiHeadAttention(RulePass):
    """ONNX's attention as the runtime's own operator, which has more kernels on GPUs."""

    rules: ClassVar[tuple[NamedRule, ...]] = (
        NamedRule("multi-head-attention:from-attention", FromAttention()),
    )
