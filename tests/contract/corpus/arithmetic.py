"""Elementwise arithmetic, data movement, operations that do nothing and some that only seem to."""

from __future__ import annotations

import numpy as np
import onnx

from tests.contract.corpus.build import floats, ints, model, normal, scalar


def identities() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[n,3] z) {
            a = Identity(x)
            b = Identity(a)
            y = Identity(b)
            c = Relu(b)
            z = Identity(c)
        }"""
    )


def dropout() -> onnx.ModelProto:
    """Out of training it passes its input on, and its mask is all true."""
    return model(
        """g (float[n,3] x) => (float[n,3] y, bool[n,3] mask, float[n,3] z) {
            y, mask = Dropout(x, ratio, no)
            a = Relu(x)
            b = Dropout(a, ratio)
            z = Dropout(b)
        }""",
        {"ratio": scalar(0.5), "no": np.array(False)},
    )


def transposes() -> onnx.ModelProto:
    return model(
        """g (float[n,3,4] x) => (float[n,3,4] y, float[3,4,n] z, float[4,3,n] u) {
            a = Transpose<perm=[2,0,1]>(x)
            y = Transpose<perm=[1,2,0]>(a)
            b = Transpose<perm=[1,0,2]>(x)
            c = Relu(b)
            z = Transpose<perm=[0,2,1]>(c)
            u = Transpose(x)
        }"""
    )


def casts() -> onnx.ModelProto:
    """Float to double and back is nothing; by way of integers or half precision it is not."""
    return model(
        """g (float[n,3] x, int64[n] i) => (float[n,3] y, float[n,3] z, float[n,3] u, int64[n] j,
                                           float[n,3] same) {
            a = Cast<to=11>(x)
            y = Cast<to=1>(a)
            b = Cast<to=7>(x)
            z = Cast<to=1>(b)
            c = Cast<to=10>(x)
            u = Cast<to=1>(c)
            k = Cast<to=1>(i)
            j = Cast<to=7>(k)
            same = Cast<to=1>(x)
        }"""
    )


def cast_to_bool_and_back() -> onnx.ModelProto:
    return model(
        """g (float[n] x, int32[n] i) => (float[n] y, int32[n] j) {
            a = Cast<to=9>(x)
            y = Cast<to=1>(a)
            b = Cast<to=3>(i)
            j = Cast<to=6>(b)
        }"""
    )


def slices() -> onnx.ModelProto:
    return model(
        """g (float[10,6] x) => (float[a,6] y, float[10,6] z, float[b,c] u, float[d,6] v) {
            p = Slice(x, one, eight, zero)
            y = Slice(p, one, minus, zero, two)
            z = Slice(x, zero, large, zero)
            q = Slice(x, one, eight, zero)
            u = Slice(q, one, minus, one)
            r = Slice(x, minus, small, zero, minus)
            v = Slice(r, zero, two, zero)
        }""",
        {"zero": ints(0), "one": ints(1), "two": ints(2), "eight": ints(8), "minus": ints(-1)}
        | {"large": ints(2**62), "small": ints(-(2**62))},
    )


def slices_of_unknown_length() -> onnx.ModelProto:
    """Whether anything is cut off depends on the input's length."""
    return model(
        """g (float[n,4] x) => (float[a,4] y, float[b,4] z) {
            y = Slice(x, zero, five, zero)
            p = Slice(x, zero, minus, zero)
            z = Slice(p, one, five, zero)
        }""",
        {"zero": ints(0), "one": ints(1), "five": ints(5), "minus": ints(-1)},
    )


def unsqueeze_squeeze() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[1,n,1,3] z, float[n,1,3] u) {
            a = Unsqueeze(x, first)
            y = Squeeze(a, first)
            b = Unsqueeze(x, first)
            z = Unsqueeze(b, second)
            c = Unsqueeze(x, both)
            u = Squeeze(c, first)
        }""",
        {"first": ints(0), "second": ints(2), "both": ints(0, 2)},
    )


def reshapes() -> onnx.ModelProto:
    """A zero copies a dimension, a minus one is computed; each only in its own input's terms."""
    return model(
        """g (float[n,4,6] x) => (float[n,24] y, float[n,a,b] z, float[n,4,6] same, float[c] u) {
            p = Reshape(x, by_two)
            y = Reshape(p, flat)
            q = Reshape(x, by_two)
            z = Reshape(q, kept)
            same = Reshape(x, copy)
            r = Flatten<axis=0>(x)
            u = Reshape(r, vector)
        }""",
        {"by_two": ints(0, 2, -1), "flat": ints(0, -1), "kept": ints(0, 0, -1)}
        | {"copy": ints(0, 4, 6), "vector": ints(-1)},
    )


def mul_add_chains() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[n,3] z, float[2,n,3] u) {
            a = Mul(x, p)
            b = Mul(q, a)
            c = Add(b, p)
            y = Sub(c, q)
            d = Div(x, p)
            e = Div(d, q)
            z = Neg(e)
            f = Add(x, p)
            u = Add(f, wide)
        }""",
        {"p": normal(3), "q": floats(2), "wide": normal(2, 1, 3)},
    )


def neutral_elements() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[n,3] z, float[n,3] u, float[n,3] v) {
            a = Mul(x, one)
            b = Add(zero, a)
            c = Sub(b, zero)
            d = Div(c, one)
            y = Pow(d, one)
            z = Add(x, zeros)
            u = Sub(zero, x)
            v = Div(one, x)
        }""",
        {"one": scalar(1), "zero": scalar(0)} | {"zeros": np.zeros((1, 3), np.float32)},
    )


def neutral_but_wider() -> onnx.ModelProto:
    """Adding a zero of a higher rank changes the shape."""
    return model(
        """g (float[3] x, float[1] s) => (float[1,3] y, float[2,3] z, float[4] u) {
            y = Add(x, row)
            z = Mul(x, ones)
            u = Add(s, four)
        }""",
        {"row": np.zeros((1, 1), np.float32), "ones": np.ones((2, 3), np.float32)}
        | {"four": np.zeros(4, np.float32)},
    )


def not_a_number() -> onnx.ModelProto:
    """Zero times infinity, zero by zero: no algebra holds."""
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[n,3] z, float[n,3] u, float[n,3] v) {
            a = Exp(x)
            b = Mul(a, huge)
            y = Mul(b, zero)
            z = Div(x, x)
            u = Sub(b, b)
            c = Log(x)
            v = Max(c, zero)
        }""",
        {"huge": floats(3e38), "zero": floats(0)},
    )


def integers() -> onnx.ModelProto:
    """Division truncates, sums wrap, remainders have two signs."""
    return model(
        """g (int64[n] x, int32[n] i) => (int64[n] y, int64[n] z, int64[n] r, int64[n] s,
                                           int32[n] j) {
            a = Div(x, three)
            y = Mul(a, three)
            b = Mul(x, three)
            z = Div(b, three)
            r = Mod(x, three)
            s = Mod(x, less)
            c = Add(i, big)
            j = Add(c, big)
        }""",
        {"three": ints(3), "less": ints(-3), "big": np.array([2**31 - 1], np.int32)},
    )


def clips_and_relus() -> onnx.ModelProto:
    return model(
        """g (float[n] x) => (float[n] y, float[n] z, float[n] u) {
            a = Relu(x)
            b = Relu(a)
            y = Clip(b, zero, six)
            c = Clip(x, six, zero)
            z = Min(c, six)
            u = Clip(x, , six)
        }""",
        {"zero": scalar(0), "six": scalar(6)},
    )


def concat_split() -> onnx.ModelProto:
    return model(
        """g (float[n,6] x) => (float[n,6] y, float[n,6] z, float[n,6] one, float[n,2] u) {
            a, b, c = Split<axis=1>(x, parts)
            y = Concat<axis=1>(a, b, c)
            z = Concat<axis=1>(c, b, a)
            one = Concat<axis=0>(x)
            d, e = Split<axis=1, num_outputs=2>(x)
            u, w = Split<axis=1>(d, uneven)
        }""",
        {"parts": ints(2, 2, 2), "uneven": ints(2, 1)},
    )


def concat_nested() -> onnx.ModelProto:
    return model(
        """g (float[n,2] x) => (float[n,8] y, float[a,4] z) {
            c = Concat<axis=1>(x, x)
            y = Concat<axis=1>(c, x, x)
            d = Concat<axis=1>(x, x)
            z = Concat<axis=0>(d, w)
        }""",
        {"w": normal(3, 4)},
    )


def pads_and_expands() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x, float[1,3] r) => (float[n,3] y, float[a,b] z, float[n,3] u,
                                              float[4,3] v) {
            y = Pad(x, none)
            c = Pad(x, some)
            z = Pad(c, some)
            u = Expand(x, ones)
            v = Expand(r, four)
        }""",
        {
            "none": ints(0, 0, 0, 0),
            "some": ints(0, 1, 0, 1),
            "ones": ints(1, 1),
            "four": ints(4, 3),
        },
    )


def duplicates() -> onnx.ModelProto:
    """The same node three times, once with its operands changed round, once with an attribute."""
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[n] z) {
            a = Exp(x)
            b = Exp(x)
            c = Add(a, w)
            d = Add(w, b)
            y = Mul(c, d)
            e = ArgMax<axis=1, keepdims=0>(y)
            f = ArgMax<axis=1, keepdims=0, select_last_index=1>(y)
            h = Add(e, f)
            z = Cast<to=1>(h)
        }""",
        {"w": normal(3)},
    )


def duplicates_drawn_at_random() -> onnx.ModelProto:
    """Two draws are two values; only their shapes are predictable."""
    return model(
        """g (float[n,3] x) => (int64[2] y, bool[1] different) {
            a = RandomNormalLike(x)
            b = RandomNormalLike(x)
            c = RandomNormal<shape=[64]>()
            d = RandomNormal<shape=[64]>()
            e = Sub(c, d)
            f = Abs(e)
            h = ReduceSum(f, axes)
            different = Greater(h, zero)
            i = Add(a, b)
            y = Shape(i)
        }""",
        {"axes": ints(0), "zero": floats(0)},
    )


def equal_initializers() -> onnx.ModelProto:
    """Two equal weights, a third equal only in bytes; two zeros that differ in their sign."""
    return model(
        """g (float[n,4] x) => (float[n,2] y, float[n,2] z) {
            a = MatMul(x, w1)
            b = MatMul(x, w2)
            c = Add(a, b)
            d = Cast<to=1>(w3)
            e = MatMul(x, d)
            y = Add(c, e)
            p = Div(y, plus)
            q = Div(y, minus)
            z = Max(p, q)
        }""",
        {"w1": normal(4, 2), "w2": normal(4, 2), "w3": normal(4, 2).view(np.int32)}
        | {"plus": floats(0.0), "minus": floats(-0.0)},
    )


def wheres() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x, bool[n,3] mask) => (float[n,3] y, float[n,3] z, float[n,3] u) {
            y = Where(yes, x, zero)
            z = Where(mask, x, x)
            bad = IsNaN(x)
            u = Where(bad, zero, x)
        }""",
        {"yes": np.array([True]), "zero": floats(0)},
    )


def half_precision() -> onnx.ModelProto:
    """Each step is rounded to half precision."""
    return model(
        """g (float16[n,4] x) => (float16[n,2] y) {
            a = Mul(x, p)
            b = Mul(a, q)
            c = MatMul(b, w)
            d = Add(c, k)
            y = Relu(d)
        }""",
        {
            "p": np.array([1.001], np.float16),
            "q": np.array([0.999], np.float16),
            "w": normal(4, 2).astype(np.float16),
        }
        | {"k": normal(2).astype(np.float16)},
    )


def double_precision() -> onnx.ModelProto:
    return model(
        """g (double[n,4] x) => (double[n,2] y) {
            a = Mul(x, p)
            b = Mul(a, p)
            c = MatMul(b, w)
            y = Add(c, k)
        }""",
        {"p": np.array([1 + 1e-12]), "w": normal(4, 2).astype(np.float64)}
        | {"k": normal(2).astype(np.float64)},
    )
