"""Networks in small: convolutions, products, normalizations, quantized and recurrent layers."""

from __future__ import annotations

import numpy as np
import onnx

from tests.contract.corpus.build import floats, ints, model, norm, normal, positive, scalar


def conv_bn_relu() -> onnx.ModelProto:
    return model(
        """g (float[n,3,8,8] x) => (float[n,4,8,8] y) {
            c = Conv<pads=[1,1,1,1]>(x, w)
            d = BatchNormalization(c, s, b, m, v)
            y = Relu(d)
        }""",
        {"w": normal(4, 3, 3, 3), **norm(4)},
    )


def conv_bias_bn_shared() -> onnx.ModelProto:
    """One filter feeds two convolutions, only one of which is normalized."""
    return model(
        """g (float[n,3,8,8] x) => (float[n,4,6,6] y, float[n,4,6,6] z) {
            c = Conv(x, w, k)
            y = BatchNormalization(c, s, b, m, v)
            a = Abs(x)
            z = Conv(a, w, k)
        }""",
        {"w": normal(4, 3, 3, 3), "k": normal(4), **norm(4)},
    )


def conv_bn_used_twice() -> onnx.ModelProto:
    """The convolution's own result is needed too."""
    return model(
        """g (float[n,3,8,8] x) => (float[n,4,6,6] c, float[n,4,6,6] y) {
            c = Conv(x, w)
            y = BatchNormalization(c, s, b, m, v)
        }""",
        {"w": normal(4, 3, 3, 3), **norm(4)},
    )


def bn_before_conv() -> onnx.ModelProto:
    """Folding is exact without padding and wrong at the border with it."""
    return model(
        """g (float[n,3,8,8] x) => (float[n,4,6,6] y, float[n,4,8,8] z) {
            d = BatchNormalization(x, s, b, m, v)
            y = Conv(d, w)
            e = BatchNormalization(x, s, b, m, v)
            z = Conv<pads=[1,1,1,1]>(e, w)
        }""",
        {"w": normal(4, 3, 3, 3), **norm(3)},
    )


def conv_mul_add() -> onnx.ModelProto:
    return model(
        """g (float[n,3,8,8] x) => (float[n,4,6,6] y) {
            c = Conv(x, w)
            p = Mul(c, f)
            y = Add(k, p)
        }""",
        {"w": normal(4, 3, 3, 3), "f": normal(1, 4, 1, 1), "k": normal(4, 1, 1)},
    )


def conv_add_that_grows() -> onnx.ModelProto:
    """The constant is wider than a bias: per pixel, and with a rank above the convolution's."""
    return model(
        """g (float[n,3,8,8] x) => (float[n,4,6,6] y, float[2,n,4,6,6] z) {
            c = Conv(x, w)
            y = Add(c, k)
            d = Conv(x, w)
            z = Mul(d, f)
        }""",
        {"w": normal(4, 3, 3, 3), "k": normal(1, 1, 6, 6), "f": normal(2, 1, 4, 1, 1)},
    )


def conv_transpose_bn() -> onnx.ModelProto:
    return model(
        """g (float[1,4,5,5] x) => (float[1,6,h,w2] y) {
            c = ConvTranspose<strides=[2,2], pads=[1,1,1,1], group=2>(x, w)
            d = BatchNormalization(c, s, b, m, v)
            y = Mul(d, f)
        }""",
        {"w": normal(4, 3, 3, 3), "f": normal(6, 1, 1), **norm(6)},
    )


def pad_conv() -> onnx.ModelProto:
    return model(
        """g (float[n,4,8,8] x) => (float[n,4,4,4] y) {
            p = Pad(x, pads)
            y = Conv<strides=[2,2], group=4>(p, w, k)
        }""",
        {"pads": ints(0, 0, 0, 0, 0, 0, 1, 1), "w": normal(4, 1, 3, 3), "k": normal(4)},
    )


def pad_conv_kept() -> onnx.ModelProto:
    """Padding that is no convolution's: not zero, reflected, on channels, negative, SAME."""
    return model(
        """g (float[1,4,8,8] x) => (float[1,2,a,a] y, float[1,2,b,b] z, float[1,2,c,c] u,
                                    float[1,2,d,d] v, float[1,2,e,e] t) {
            p = Pad(x, pads, one)
            y = Conv(p, w)
            q = Pad<mode="reflect">(x, pads)
            z = Conv(q, w)
            r = Pad(x, more)
            u = Conv(r, wide)
            f = Pad(x, fewer)
            v = Conv<pads=[1,1,1,1]>(f, w)
            h = Pad(x, pads)
            t = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(h, w)
        }""",
        {
            "pads": ints(0, 0, 1, 1, 0, 0, 1, 1),
            "more": ints(0, 1, 0, 0, 0, 1, 0, 0),
            "fewer": ints(0, 0, -1, -1, 0, 0, -1, -1),
            "one": scalar(1.5),
            "w": normal(2, 4, 3, 3),
            "wide": normal(2, 6, 3, 3),
        },
    )


def pad_pools() -> onnx.ModelProto:
    return model(
        """g (float[1,2,8,8] x) => (float[1,2,a,a] y, float[1,2,b,b] z) {
            p = Pad(x, pads)
            y = MaxPool<kernel_shape=[3,3], strides=[2,2]>(p)
            q = Pad(x, pads)
            z = AveragePool<kernel_shape=[3,3], strides=[2,2]>(q)
        }""",
        {"pads": ints(0, 0, 1, 1, 0, 0, 1, 1)},
    )


def conv_1d_3d() -> onnx.ModelProto:
    return model(
        """g (float[n,2,9] x, float[n,2,4,4,4] u) => (float[n,3,7] y, float[n,3,2,2,2] v) {
            c = Conv(x, w1)
            y = BatchNormalization<epsilon=0.1>(c, s, b, m, v0)
            d = Conv(u, w3)
            v = BatchNormalization(d, s, b, m, v0)
        }""",
        {"w1": normal(3, 2, 3), "w3": normal(3, 2, 3, 3, 3), "s": positive(3), "b": normal(3)}
        | {"m": normal(3, seed=1), "v0": positive(3, seed=2)},
    )


def batchnorm_alone() -> onnx.ModelProto:
    return model(
        """g (float[n,3,4] x) => (float[n,3,4] y) {
            d = BatchNormalization(x, s, b, m, v)
            y = BatchNormalization(d, s, b, m, v)
        }""",
        norm(3),
    )


def squeeze_excite() -> onnx.ModelProto:
    return model(
        """g (float[n,8,4,4] x) => (float[n,8,4,4] y) {
            a = ReduceMean<keepdims=1>(x, axes)
            b = Conv(a, w1, b1)
            c = Relu(b)
            d = Conv(c, w2, b2)
            e = Sigmoid(d)
            y = Mul(x, e)
        }""",
        {"axes": ints(2, 3), "w1": normal(2, 8, 1, 1), "b1": normal(2)}
        | {"w2": normal(8, 2, 1, 1), "b2": normal(8)},
    )


def squeeze_excite_between_convolutions() -> onnx.ModelProto:
    """Whole blocks of channels, a gate of another kind, and a plane of one row."""
    return model(
        """g (float[n,3,1,6] x) => (float[n,4,1,6] y) {
            f = Conv<pads=[0,1,0,1]>(x, wf)
            g = HardSwish(f)
            a = ReduceMean<keepdims=1>(g, axes)
            b = Conv(a, w1, b1)
            c = Relu(b)
            d = Conv(c, w2, b2)
            e = HardSigmoid(d)
            s = Mul(e, g)
            y = Conv(s, wp)
        }""",
        {"axes": ints(-1, 2), "wf": normal(16, 3, 1, 3), "w1": normal(4, 16, 1, 1)}
        | {"b1": normal(4), "w2": normal(16, 4, 1, 1), "b2": normal(16), "wp": normal(4, 16, 1, 1)},
    )


def matmul_add() -> onnx.ModelProto:
    return model(
        """g (float[n,4] x, float[n,5,4] t) => (float[n,3] y, float[n,5,3] u, float[n,3] v) {
            a = MatMul(x, w)
            y = Add(k, a)
            b = MatMul(t, w)
            c = Add(b, k)
            d = MatMul(c, w2)
            u = Add(d, k)
            v = Gemm(x, w, row)
        }""",
        {"w": normal(4, 3), "w2": normal(3, 3), "k": normal(3), "row": normal(1, 3)},
    )


def matmul_add_not_gemm() -> onnx.ModelProto:
    """The addend makes the result larger, so that it is no bias."""
    return model(
        """g (float[1,4] x) => (float[5,3] y, float[2,1,3] z) {
            a = MatMul(x, w)
            y = Add(a, k)
            b = MatMul(x, w)
            z = Add(b, c)
        }""",
        {"w": normal(4, 3), "k": normal(5, 3), "c": normal(2, 1, 1)},
    )


def gemm_chain() -> onnx.ModelProto:
    return model(
        """g (float[4,n] x) => (float[n,2] y) {
            t = Transpose<perm=[1,0]>(x)
            a = Gemm<alpha=0.5, beta=2.0, transB=1>(t, w1, k1)
            b = BatchNormalization(a, s, b0, m, v)
            c = Gemm(b, w2)
            y = Add(c, k2)
        }""",
        {"w1": normal(3, 4), "k1": normal(3), "w2": normal(3, 2), "k2": normal(2)}
        | {"s": positive(3), "b0": normal(3), "m": normal(3, seed=1), "v": positive(3, seed=2)},
    )


def matmul_scaled() -> onnx.ModelProto:
    """A scalar travels through a product; two constants in a row become one."""
    return model(
        """g (float[n,4] x) => (float[n,2] y) {
            a = Mul(x, half)
            b = MatMul(a, w1)
            c = MatMul(b, w2)
            d = Div(c, half)
            y = Sub(d, k)
        }""",
        {"half": scalar(0.5), "w1": normal(4, 3), "w2": normal(3, 2)} | {"k": normal(2)},
    )


def layer_norm_by_hand() -> onnx.ModelProto:
    return model(
        """g (float[n,5,8] x) => (float[n,5,8] y) {
            a = ReduceMean(x, last)
            b = Sub(x, a)
            c = Pow(b, two)
            d = ReduceMean(c, last)
            e = Add(d, eps)
            f = Sqrt(e)
            h = Div(b, f)
            i = Mul(h, s)
            y = Add(i, k)
        }""",
        {"last": ints(-1), "two": scalar(2), "s": normal(8), "k": normal(8)}
        | {"eps": scalar(1e-5)},
    )


def gelu_by_hand() -> onnx.ModelProto:
    return model(
        """g (float[n,8] x) => (float[n,8] y, float[n,8] z) {
            a = Div(x, root)
            b = Erf(a)
            c = Add(b, one)
            d = Mul(x, c)
            y = Mul(d, half)
            e = Sigmoid(x)
            z = Mul(e, x)
        }""",
        {"root": floats(2**0.5), "one": floats(1), "half": floats(0.5)},
    )


def attention() -> onnx.ModelProto:
    """One self-attention block of two heads, shapes computed from the input."""
    return model(
        """g (float[n,t,8] x) => (float[n,t,8] y) {
            shape = Shape(x)
            zero = Constant<value_ints=[0]>()
            one = Constant<value_ints=[1]>()
            n0 = Gather<axis=0>(shape, zero)
            t0 = Gather<axis=0>(shape, one)
            split = Concat<axis=0>(n0, t0, heads)
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            q4 = Reshape(q, split)
            k4 = Reshape(k, split)
            v4 = Reshape(v, split)
            qh = Transpose<perm=[0,2,1,3]>(q4)
            kh = Transpose<perm=[0,2,3,1]>(k4)
            vh = Transpose<perm=[0,2,1,3]>(v4)
            qk = MatMul(qh, kh)
            scaled = Div(qk, root)
            p = Softmax<axis=-1>(scaled)
            o = MatMul(p, vh)
            oh = Transpose<perm=[0,2,1,3]>(o)
            flat = Concat<axis=0>(n0, t0, width)
            y = Reshape(oh, flat)
        }""",
        {"heads": ints(2, 4), "width": ints(8), "root": scalar(2)}
        | {f"w{name}": normal(8, 8, seed=i) for i, name in enumerate("qkv")},
    )


def einsum() -> onnx.ModelProto:
    return model(
        """g (float[n,3,4] x, float[n,4,5] z) => (float[n,3,5] a, float[3,n] b, float[n,4,3] c,
                                                  float[n] d) {
            a = Einsum<equation="nij,njk->nik">(x, z)
            b = Einsum<equation="nij,j->in">(x, w)
            c = Einsum<equation="nij->nji">(x)
            d = Einsum<equation="nij,nij->n">(x, x)
        }""",
        {"w": normal(4)},
    )


def qdq_conv() -> onnx.ModelProto:
    """A quantized convolution, weights per channel; its grid must survive as it is."""
    return model(
        """g (float[n,3,8,8] x) => (float[n,4,6,6] y) {
            xq = QuantizeLinear(x, sx, zx)
            xd = DequantizeLinear(xq, sx, zx)
            wd = DequantizeLinear<axis=0>(wq, sw, zw)
            c = Conv(xd, wd, k)
            r = Relu(c)
            rq = QuantizeLinear(r, sy, zx)
            y = DequantizeLinear(rq, sy, zx)
        }""",
        {
            "sx": scalar(0.03),
            "zx": np.array(128, np.uint8),
            "wq": np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
            "sw": positive(4) / 100,
            "zw": np.zeros(4, np.int8),
            "k": normal(4),
            "sy": scalar(0.05),
        },
        opset=13,
        ir_version=7,
    )


def dynamic_quantized_matmul() -> onnx.ModelProto:
    return model(
        """g (float[n,4] x) => (float[n,3] y) {
            q, s, z = DynamicQuantizeLinear(x)
            i = MatMulInteger(q, w, z, zw)
            f = Cast<to=1>(i)
            t = Mul(s, sw)
            y = Mul(f, t)
        }""",
        {
            "w": np.arange(12, dtype=np.uint8).reshape(4, 3),
            "zw": np.array(6, np.uint8),
            "sw": scalar(0.1),
        },
    )


def lstm() -> onnx.ModelProto:
    """Inputs left out in the middle, an output left out at the front."""
    return model(
        """g (float[t,n,3] x, float[1,n,2] start) => (float[1,n,2] h) {
            , h = LSTM<hidden_size=2>(x, w, r, , , start)
        }""",
        {"w": normal(1, 8, 3), "r": normal(1, 8, 2)},
    )


def resize() -> onnx.ModelProto:
    """By a factor of one it does nothing; by two it does."""
    return model(
        """g (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,8,8] z) {
            y = Resize<mode="linear">(x, , ones)
            z = Resize<mode="nearest">(x, , , sizes)
        }""",
        {"ones": np.ones(4, np.float32), "sizes": ints(1, 2, 8, 8)},
    )
