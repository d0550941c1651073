"""Attention and recurrent networks.

Every query meets every key: a causal mask leaves about half of that useful, and whether a kernel
skips the rest is the kernel's affair. Each score costs 6 operations (scaled, then Softmax's 5), and
one more where a mask is added.
"""

from __future__ import annotations

from onnxopt.costs.place import Place, Row, Work, elements, extent_at
from onnxopt.shapes.extent import Dims, Extent, over, plus, product, times

_SCORE_OPS = 6


def _attended(scores: Extent, qk: Extent, v: Extent, masked: bool) -> Work:
    """``qk`` and ``v`` are the widths of a head; ``scores`` counts all pairs of all heads."""
    return Work(times(scores, plus(qk, v)), times(scores, _SCORE_OPS + masked))


def _split(shape: Dims, heads: int) -> tuple[Extent, Extent, Extent, Extent]:
    """Return batch, heads, length and width of a head, of ``[b, n, s, h]`` or ``[b, s, n h]``."""
    if len(shape) == 4:
        return shape[0], shape[1], shape[2], shape[3]
    if len(shape) != 3 or not heads:
        return None, None, None, None
    return shape[0], heads, shape[1], over(shape[2], heads)


def _attention(place: Place) -> Work:
    """Opset 23: queries by keys, past ones included, then by values."""
    q, k, v = place.shape(0), place.shape(1), place.shape(2)
    if q is None or k is None or v is None:
        return Work(None, None)
    batch, heads, length, width = _split(q, place.integer("q_num_heads", 0))
    _, _, keys, _ = _split(k, place.integer("kv_num_heads", 0))
    _, _, _, deep = _split(v, place.integer("kv_num_heads", 0))
    total = plus(keys, extent_at(place.shape(4), 2) if place.has(4) else 0)
    scores = product((batch, heads, length, total))
    return _attended(scores, width, deep, place.has(3))


def _fused_attention(place: Place) -> Work:
    """``[b, s, i]`` by weights ``[i, q + k + v]``, then attention among them."""
    x, w = place.shape(0), place.shape(1)
    heads, sizes = place.integer("num_heads", 0), place.ints("qkv_hidden_sizes")
    if x is None or w is None or len(x) != 3 or len(w) != 2 or not heads:
        return Work(None, None)
    width = over(w[1], 3) if sizes is None else sizes[0]
    deep = over(w[1], 3) if sizes is None else sizes[2]
    past_index = 8 if place.node.op_type == "QAttention" else 4
    past = extent_at(place.shape(past_index), 3) if place.has(past_index) else 0
    scores = product((x[0], heads, x[1], plus(x[1], past)))
    masked = place.has(5) and place.node.op_type == "Attention"
    work = _attended(scores, over(width, heads), over(deep, heads), masked)
    return Work(plus(work.macs, times(place.size(0), w[1])), work.ops)


def _multi_head(place: Place) -> Work:
    """Queries by keys, past ones included, then by values; all three may be packed in one."""
    q, k, v, heads = place.shape(0), place.shape(1), place.shape(2), place.integer("num_heads", 0)
    if q is None or not heads:
        return Work(None, None)
    if len(q) == 5:  # [b, s, n, 3, h]
        scores = product((q[0], heads, q[1], q[1]))
        return _attended(scores, q[4], q[4], place.has(5))
    batch, _, length, width = _split(q, heads)
    if k is not None and len(k) == 5:  # [b, s, n, 2, h]
        keys, deep = k[1], k[4]
    elif k is not None and v is not None:
        keys, deep = _split(k, heads)[2], _split(v, heads)[3]
    else:
        return Work(None, None)
    past = extent_at(place.shape(6), 2) if place.has(6) else 0
    scores = product((batch, heads, length, plus(keys, past)))
    return _attended(scores, width, deep, place.has(5))


def _group_query(place: Place) -> Work:
    """As many pairs as the longest sequence so far has, or else the caches and what is new."""
    q, heads = place.shape(0), place.integer("num_heads", 0)
    groups = place.integer("kv_num_heads", 0)
    if q is None or len(q) != 3 or not heads:
        return Work(None, None)
    packed = not place.has(1)
    width = over(q[2], heads + 2 * groups if packed else heads)
    longest = place.content(6)
    total: Extent
    if longest and isinstance(longest[0], int):
        total = longest[0]
    else:
        total = plus(q[1], extent_at(place.shape(3), 2) if place.has(3) else 0)
    scores = product((q[0], heads, q[1], total))
    work = _attended(scores, width, width, False)
    turned = product((q[0], q[1], heads + groups, width, 3)) if place.integer("do_rotary", 0) else 0
    return Work(work.macs, plus(work.ops, turned))


def _linear_attention(place: Place) -> Work:
    """A state ``[dk, dv]`` for each head: updated by an outer product, read by each query."""
    q, v = place.shape(0), place.shape(2)
    heads, groups = place.integer("q_num_heads", 0), place.integer("kv_num_heads", 0)
    if q is None or v is None or not heads or not groups:
        return Work(None, None)
    state = times(over(extent_at(q, 2), heads), over(extent_at(v, 2), groups))
    rule = place.string("update_rule", "gated_delta")
    each = heads + groups * (2 if "delta" in rule else 1)
    decay = groups if "gated" in rule else 0
    tokens = times(q[0], extent_at(q, 1))
    return Work(product((tokens, state, each)), product((tokens, state, decay)))


_GATE_OPS = {"RNN": 3, "GRU": 20, "LSTM": 26}
"""Operations for each hidden value a step: two biases a gate, 4 for a sigmoid, 1 for a tanh, and
the products and sums of the state."""


def _recurrent(place: Place) -> Work:
    """Each step: the input by W and the state by R; both hold all gates and directions."""
    x, w, r = place.shape(0), place.shape(1), place.shape(2)
    if x is None or len(x) != 3:
        return Work(None, None)
    steps = times(x[0], x[1])
    macs = times(steps, plus(elements(w), elements(r)))
    kind = place.node.op_type.removeprefix("DynamicQuantize")
    if r is None or len(r) != 3:
        return Work(macs, None)
    hidden = r[1] if kind != place.node.op_type else r[2]
    return Work(macs, product((steps, r[0], hidden, _GATE_OPS[kind])))


ROWS: dict[str, Row] = {
    "Attention": _attention,
    "LinearAttention": _linear_attention,
    **dict.fromkeys(_GATE_OPS, _recurrent),
}

MICROSOFT: dict[str, Row] = {
    "Attention": _fused_attention,
    "QAttention": _fused_attention,
    "MultiHeadAttention": _multi_head,
    "GroupQueryAttention": _group_query,
    "DynamicQuantizeLSTM": _recurrent,
}
