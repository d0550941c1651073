"""Attention, of ONNX and of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

from onnxopt.shapes import extent
from onnxopt.shapes.call import Call, Row
from onnxopt.shapes.extent import Dims, Extent
from onnxopt.shapes.fact import Fact


def _heads(shape: Dims, heads: int) -> Dims:
    """Bring ``[b, s, n h]`` into the form ``[b, n, s, h]``."""
    if len(shape) == 4:
        return shape
    batch, length, width = shape
    return (batch, heads, length, extent.over(width, heads) if heads else None)


def _attention(call: Call) -> Sequence[Fact]:
    """Opset 23: like the query, with the value's width; then keys and values so far, and scores."""
    q, k, v, dtype = call.shape(0), call.shape(1), call.shape(2), call.dtype(0)
    if q is None or k is None or v is None:
        return [Fact(dtype)] * 4
    q_heads, kv_heads = call.integer("q_num_heads", 0), call.integer("kv_num_heads", 0)
    query, key, value = _heads(q, q_heads), _heads(k, kv_heads), _heads(v, kv_heads)
    past = call.shape(4) if call.has(4) else (key[0], key[1], 0, key[3])
    total = None if past is None else extent.plus(past[2], key[2])
    wide = (*query[:3], value[3])
    output = wide if len(q) == 4 else (q[0], q[1], extent.times(query[1], value[3]))
    present = (*key[:2], total, key[3]), (*value[:2], total, value[3])
    return [
        Fact(dtype, output),
        Fact(call.dtype(1), present[0]),
        Fact(call.dtype(2), present[1]),
        Fact(dtype, (*query[:3], total)),
    ]


def _fused_attention(call: Call) -> Sequence[Fact]:
    """``[b, s, i]`` by weights ``[i, q + k + v]`` is ``[b, s, v]``; then the keys and values."""
    x, w, dtype = call.shape(0), call.shape(1), call.dtype(0)
    heads, sizes = call.integer("num_heads", 0), call.ints("qkv_hidden_sizes")
    width: Extent = sizes[2] if sizes else extent.over(w[1], 3) if w and len(w) == 2 else None
    if x is None or len(x) != 3:
        return [Fact(dtype), Fact(dtype)]
    past = call.shape(4) if call.has(4) else None
    before: Extent = past[3] if past and len(past) == 5 else None if call.has(4) else 0
    head = extent.over(width, heads) if heads else None
    present = (2, x[0], heads or None, extent.plus(before, x[1]), head)
    return [Fact(dtype, (x[0], x[1], width)), Fact(dtype, present)]


def _multi_head(call: Call) -> Sequence[Fact]:
    """Query ``[b, s, n h]`` (or all three packed as ``[b, s, n, 3, h]``) gives ``[b, s, n v]``."""
    q, k, v, dtype = call.shape(0), call.shape(1), call.shape(2), call.dtype(0)
    heads = call.integer("num_heads", 0)
    if q is None:
        return [Fact(dtype)] * 3
    if len(q) == 5:
        return [Fact(dtype, (q[0], q[1], extent.times(q[2], q[4]))), Fact(dtype), Fact(dtype)]
    if k is not None and len(k) == 5:
        v = (k[0], k[1], extent.times(k[2], k[4]))
    if v is None:
        return [Fact(dtype, (q[0], q[1], None)), Fact(dtype), Fact(dtype)]
    value = _heads(v, heads)
    output = Fact(dtype, (q[0], q[1], extent.times(heads, value[3])))
    if k is None or len(k) == 5:
        return [output, Fact(dtype), Fact(dtype)]
    key, past = _heads(k, heads), call.shape(6) if call.has(6) else None
    before: Extent = past[2] if past else None if call.has(6) else 0
    total = extent.plus(before, key[2])
    present = [(*key[:2], total, key[3]), (*value[:2], total, value[3])]
    return [output, *(Fact(dtype, shape) for shape in present)]


def _group_query(call: Call) -> Sequence[Fact]:
    """Like the query; queries, keys and values may be packed along the last axis."""
    q, dtype = call.shape(0), call.dtype(0)
    heads, groups = call.integer("num_heads", 1), call.integer("kv_num_heads", 1)
    caches = []
    for index in (3, 4):
        past = call.shape(index)
        kept = None if past is None or len(past) != 4 else (past[0], past[1], None, past[3])
        caches.append(Fact(call.dtype(index) or dtype, kept))
    call.depends_on_data("how long its caches are is only known from the data")
    if q is None or call.has(1):
        return [Fact(dtype, q), *caches]
    head = extent.over(q[2], heads + 2 * groups)
    return [Fact(dtype, (*q[:2], extent.times(head, heads))), *caches]


STANDARD: dict[str, Row] = {"Attention": _attention}

MICROSOFT: dict[str, Row] = {
    "Attention": _fused_attention,
    "QAttention": _fused_attention,
    "MultiHeadAttention": _multi_head,
    "GroupQueryAttention": _group_query,
}
