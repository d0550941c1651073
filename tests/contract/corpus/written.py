"""What exporters write out by hand, and runtimes have one operator for."""

from __future__ import annotations

import math

import numpy as np
import onnx

from tests.contract.corpus.build import NEWEST, floats, ints, model, normal, positive, scalar


def gelu_tanh() -> onnx.ModelProto:
    return model(
        """g (float[n,4] x) => (float[n,4] y) {
            c = Pow(x, three) d = Mul(c, cubic) e = Add(x, d) s = Mul(e, root)
            t = Tanh(s) u = Add(t, one) v = Mul(x, u) y = Mul(v, half)
        }""",
        {"three": scalar(3), "cubic": scalar(0.044715), "root": scalar(math.sqrt(2 / math.pi))}
        | {"one": scalar(1), "half": scalar(0.5)},
    )


def hard_swish() -> onnx.ModelProto:
    """The second is bounded by five, and no such activation."""
    return model(
        """g (float[n,4] x) => (float[n,4] y, float[n,4] z) {
            s = Add(x, three) c = Clip(s, zero, six) p = Mul(x, c) y = Div(p, six)
            t = Add(x, three) d = Clip(t, zero, five) q = Mul(x, d) z = Div(q, six)
        }""",
        {"three": scalar(3), "zero": scalar(0), "six": scalar(6), "five": scalar(5)},
    )


def rms_norm() -> onnx.ModelProto:
    return model(
        """g (float[n,5,8] x) => (float[n,5,8] y) {
            q = Mul(x, x) m = ReduceMean<keepdims=1>(q, last) a = Add(m, eps)
            r = Sqrt(a) i = Reciprocal(r) z = Mul(x, i) y = Mul(z, scale)
        }""",
        {"last": ints(-1), "eps": scalar(1e-5), "scale": positive(8)},
        opset=NEWEST,
    )


def rotary() -> onnx.ModelProto:
    return model(
        """g (float[b,4,s,6] x, float[b,s,3] f) => (float[b,4,s,6] y) {
            f2 = Concat<axis=-1>(f, f) cos = Cos(f2) sin = Sin(f2)
            c = Unsqueeze(cos, heads) e = Unsqueeze(sin, heads)
            first, second = Split<axis=-1>(x, sizes) n = Neg(second)
            turned = Concat<axis=-1>(n, first)
            xc = Mul(x, c) ts = Mul(turned, e) y = Add(xc, ts)
        }""",
        {"heads": ints(1), "sizes": ints(3, 3)},
        opset=NEWEST,
    )


def attention_under_a_guard() -> onnx.ModelProto:
    """The guard is needed where a mask hides all keys of a query, as one can here."""
    numbers = {"split": ints(0, 0, 4, 2), "join": ints(0, 0, 8), "half": scalar(0.7)}
    numbers |= {"zero": scalar(0), "low": scalar(float(np.finfo(np.float32).min))}
    return model(
        """g (float[b,s,8] q, float[b,t,8] k, float[b,t,8] v, bool[b,1,s,t] m)
        => (float[b,s,8] y) {
            rq = Reshape(q, split) tq = Transpose<perm=[0,2,1,3]>(rq)
            rk = Reshape(k, split) tk = Transpose<perm=[0,2,3,1]>(rk)
            rv = Reshape(v, split) tv = Transpose<perm=[0,2,1,3]>(rv)
            sq = Mul(tq, half) sk = Mul(tk, half) p = MatMul(sq, sk)
            h = Where(m, zero, low) z = Add(p, h)
            w0 = Softmax<axis=-1>(z) n = IsNaN(w0) w = Where(n, zero, w0)
            o = MatMul(w, tv) to = Transpose<perm=[0,2,1,3]>(o) y = Reshape(to, join)
        }""",
        numbers,
        opset=NEWEST,
    )


def attention_operators() -> onnx.ModelProto:
    """One with as many heads of keys as of queries, one with fewer."""
    return model(
        """g (float[b,s,8] q, float[b,t,8] k, float[b,t,8] v, float[b,t,4] ks, float[b,t,4] vs)
        => (float[b,s,8] y, float[b,s,8] z) {
            y = Attention<q_num_heads=4, kv_num_heads=4>(q, k, v)
            z = Attention<q_num_heads=4, kv_num_heads=2>(q, ks, vs)
        }""",
        opset=NEWEST,
    )


def softmax_guard() -> onnx.ModelProto:
    """A mask that is given may hide a row; a constant one that leaves something does not."""
    return model(
        """g (float[n,3] x, float[n,3] mask) => (float[n,3] y, float[n,3] z) {
            f = Sigmoid(x) a = Add(f, row) w = Softmax<axis=-1>(a) n = IsNaN(w)
            y = Where(n, zero, w)
            b = Add(f, mask) v = Softmax<axis=-1>(b) m = IsNaN(v) z = Where(m, zero, v)
        }""",
        {"row": floats(0, -np.inf, 0), "zero": scalar(0)},
    )


def scaled_before_conv() -> onnx.ModelProto:
    return model(
        """g (float[n,3,8,8] x) => (float[n,4,6,6] y) {
            s = Div(x, deviation) t = Sub(s, mean) y = Conv(t, w, b)
        }""",
        {"deviation": positive(3, 1, 1), "mean": normal(3, 1, 1), "w": normal(4, 3, 3, 3)}
        | {"b": normal(4)},
    )


def products_in_integers() -> onnx.ModelProto:
    """Weights and data dequantized, and a bias behind the product that no runtime takes in."""
    integers = np.random.default_rng(0).integers(-127, 127, (4, 3)).astype(np.int8)
    return model(
        """g (float[n,5,4] x) => (float[n,5,3] y) {
            q = QuantizeLinear(x, sx, zx) d = DequantizeLinear(q, sx, zx)
            e = DequantizeLinear<axis=1>(w, sw, zw) p = MatMul(d, e) y = Sub(p, k)
        }""",
        {"sx": scalar(0.05), "zx": np.array(128, np.uint8), "w": integers}
        | {"sw": positive(3) / 100, "zw": np.zeros(3, np.int8), "k": normal(3)},
    )


def shuffled_channels() -> onnx.ModelProto:
    return model(
        """g (float[n,6,4,4] x) => (float[n,6,4,4] y) {
            a = Reshape(x, apart) t = Transpose<perm=[0,2,1,3,4]>(a) y = Reshape(t, together)
        }""",
        {"apart": ints(0, 2, 3, 4, 4), "together": ints(0, 6, 4, 4)},
    )


def affine_chains() -> onnx.ModelProto:
    return model(
        """g (float[n,4] x) => (float[n,4] y, float[n,4] z) {
            a = Mul(x, p) b = Add(a, q) y = Mul(b, r)
            c = Add(x, q) d = Mul(c, p) z = Add(d, r)
        }""",
        {"p": positive(4), "q": normal(4), "r": positive(4, seed=3)},
    )


def pool_of_the_whole_plane() -> onnx.ModelProto:
    """The second window leaves a column out."""
    return model(
        """g (float[n,3,5,7] x) => (float[n,3,1,1] y, float[n,3,1,2] z) {
            y = AveragePool<kernel_shape=[5,7]>(x)
            z = AveragePool<kernel_shape=[5,6]>(x)
        }"""
    )


def roots() -> onnx.ModelProto:
    """A power of what may be negative is none."""
    return model(
        """g (float[n,4] x) => (float[n,4] y, float[n,4] z) {
            r = Relu(x) y = Pow(r, half) z = Pow(x, two)
        }""",
        {"half": scalar(0.5), "two": scalar(2)},
    )


def parted_by_slices() -> onnx.ModelProto:
    return model(
        """g (float[n,6] x) => (float[n,2] y, float[n,4] z) {
            y = Slice(x, zero, two, axis) z = Slice(x, two, six, axis)
        }""",
        {"zero": ints(0), "two": ints(2), "six": ints(6), "axis": ints(1)},
    )


def residual_block() -> onnx.ModelProto:
    held = {f"w{at}": normal(16, 16, seed=at) / 4 for at in range(4)}
    return model(
        """g (float[n,16] x) => (float[n,16] y) {
            h = MatMul(x, w0) a = MatMul(h, w1) r = Relu(a) c = MatMul(r, w2)
            s = Add(h, c) y = MatMul(s, w3)
        }""",
        held,
    )
