"""Fused attention costs what the products that it stands for cost together."""

from __future__ import annotations

from onnxopt.costs import Costs
from tests.costs.models import cost
from tests.shapes.models import parse

B, S, N, H = 2, 5, 3, 4
PLAIN = f"""
g (float[{B},{N},{S},{H}] q, float[{B},{N},{H},{S}] k, float[{B},{N},{S},{H}] v) => (float y)
{{ s = MatMul (q, k) p = Softmax (s) y = MatMul (p, v) }}
"""


def plain() -> int:
    total = Costs.of(parse(PLAIN)).macs
    assert isinstance(total, int)
    return total


def test_multi_head() -> None:
    tokens = f"float[{B},{S},{N * H}]"
    call = f"y = com.microsoft.MultiHeadAttention <num_heads = {N}> (q, k, v)"
    assert cost(f"{tokens} q, {tokens} k, {tokens} v", call).macs == plain()


def test_packed_queries_keys_and_values() -> None:
    call = f"y = com.microsoft.MultiHeadAttention <num_heads = {N}> (q)"
    assert cost(f"float[{B},{S},{N},3,{H}] q", call).macs == plain()


def test_projection_included() -> None:
    call = f"y = com.microsoft.Attention <num_heads = {N}> (x, w, b)"
    inputs = f"float[{B},{S},7] x, float[7,{3 * N * H}] w, float[{3 * N * H}] b"
    assert cost(inputs, call).macs == plain() + B * S * 7 * 3 * N * H


def test_grouped_queries_share_keys_but_not_products() -> None:
    call = f"y = com.microsoft.GroupQueryAttention <num_heads = {N}, kv_num_heads = 1> (q, k, v)"
    inputs = f"float[{B},{S},{N * H}] q, float[{B},{S},{H}] k, float[{B},{S},{H}] v"
    assert cost(inputs, call).macs == plain()


def test_onnx_attention_with_a_past() -> None:
    text = f"""<ir_version: 10, opset_import: ["": 23]>
    g (float[{B},{N},1,{H}] q, float[{B},{N},1,{H}] k, float[{B},{N},1,{H}] v,
       float[{B},{N},past,{H}] pk, float[{B},{N},past,{H}] pv)
    => (float y, float nk, float nv) {{ y, nk, nv = Attention (q, k, v, , pk, pv) }}"""
    row = Costs.of(parse(text)).rows[0]
    assert str(row.macs) == f"{2 * B * N * H}*past + {2 * B * N * H}"
    assert Costs.of(parse(text), {"past": 9}).macs == 2 * B * N * H * 10


def test_recurrent_weights_meet_every_step() -> None:
    inputs = "float[6,2,3] x, float[2,20,3] w, float[2,20,5] r"
    call = 'y, h, c = LSTM <hidden_size = 5, direction = "bidirectional"> (x, w, r)'
    assert cost(inputs, call).macs == 6 * 2 * 2 * 20 * (3 + 5)
    inputs = "float[6,2,3] x, float[1,15,3] w, float[1,15,5] r"
    assert cost(inputs, "y, h = GRU <hidden_size = 5> (x, w, r)").macs == 6 * 2 * 15 * (3 + 5)
