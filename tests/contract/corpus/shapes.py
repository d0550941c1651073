"""Arithmetic on shapes, values that depend on data, tensors without elements, scalars."""

from __future__ import annotations

import numpy as np
import onnx

from tests.contract.corpus.build import NEWEST, floats, ints, model, normal, scalar


def flatten_by_view() -> onnx.ModelProto:
    """What an exporter makes of ``x.view(x.size(0), -1)``."""
    return model(
        """g (float[batch,3,4] x) => (float[batch,a] y) {
            s = Shape(x)
            i = Constant<value = int64 {0}>()
            d = Gather<axis=0>(s, i)
            axes = Constant<value = int64[1] {0}>()
            e = Unsqueeze(d, axes)
            rest = Constant<value = int64[1] {-1}>()
            f = Concat<axis=0>(e, rest)
            y = Reshape(x, f)
        }"""
    )


def known_shape_arithmetic() -> onnx.ModelProto:
    """Half of the channels, computed from a shape that is known but for its batch."""
    return model(
        """g (float[batch,6,4] x) => (float[batch,b,4] y, float[batch,c] z) {
            s = Shape(x)
            c = Gather<axis=0>(s, one)
            h = Div(c, two)
            v = Unsqueeze(h, axes)
            y = Slice(x, start, v, dim)
            p = ReduceProd<keepdims=1>(s)
            n = Slice(s, start, dim)
            q = Div(p, n)
            t = Concat<axis=0>(n, q)
            z = Reshape(x, t)
        }""",
        {"one": ints(1).reshape(()), "two": ints(2).reshape(()), "axes": ints(0)}
        | {"start": ints(0), "dim": ints(1)},
    )


def shape_part() -> onnx.ModelProto:
    return model(
        """g (float[batch,6,seq] x) => (int64[1] a, int64[2] b, int64 c, int64[0] d) {
            a = Shape<start=1, end=2>(x)
            b = Shape<start=-2>(x)
            c = Size(x)
            d = Shape<start=3>(x)
        }"""
    )


def positions() -> onnx.ModelProto:
    """Position numbers from the sequence length, and a causal mask of that size."""
    return model(
        """g (float[batch,seq,4] x) => (float[batch,seq,4] y, float[seq,seq] mask) {
            s = Shape(x)
            t = Gather<axis=0>(s, one)
            r = Range(zero, t, one)
            e = Gather<axis=0>(table, r)
            y = Add(x, e)
            v = Unsqueeze(t, axes)
            u = Concat<axis=0>(v, v)
            f = ConstantOfShape<value = float[1] {-1.0}>(u)
            mask = Trilu<upper=1>(f, one)
        }""",
        {"zero": ints(0).reshape(()), "one": ints(1).reshape(()), "axes": ints(0)}
        | {"table": normal(64, 4)},
    )


def expand_like() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x, float[3] w) => (float[n,3] y, float[n,3] z) {
            s = Shape(x)
            y = Expand(w, s)
            e = Equal(s, minus)
            ones = ConstantOfShape<value = int64[1] {1}>(two)
            t = Where(e, ones, s)
            u = Expand(w, t)
            z = Add(x, u)
        }""",
        {"minus": ints(-1), "two": ints(2)},
    )


def data_dependent() -> onnx.ModelProto:
    """Nobody knows these shapes before the run."""
    return model(
        """g (float[n,3] x) => (int64[2,a] y, float[b] z, float[c] u, int64[1] v) {
            f = Greater(x, zero)
            y = NonZero(f)
            z = Compress(x, some)
            flat = Reshape(x, minus)
            u = Unique<sorted=1>(flat)
            v = Shape(u)
        }""",
        {"zero": floats(0), "some": np.array([False, True]), "minus": ints(-1)},
    )


def no_elements() -> onnx.ModelProto:
    """Tensors with a dimension of zero go through sums, products and joins."""
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[0,3] z, float[0,2] u, float[3] v) {
            y = Concat<axis=0>(x, empty)
            z = Relu(empty)
            u = MatMul(empty, w)
            v = ReduceSum<keepdims=0>(empty, axes)
        }""",
        {"empty": np.zeros((0, 3), np.float32), "w": normal(3, 2), "axes": ints(0)},
    )


def reduce_over_nothing() -> onnx.ModelProto:
    """An empty list of axes means all, or none, as an attribute says."""
    return model(
        """g (float[n,3] x) => (float[1,1] y, float[n,3] z, float u) {
            y = ReduceSum(x, none)
            z = ReduceSum<noop_with_empty_axes=1>(x, none)
            u = ReduceMax<keepdims=0>(x)
        }""",
        {"none": np.zeros(0, np.int64)},
    )


def scalars() -> onnx.ModelProto:
    return model(
        """g (float x, int64 i) => (float y, float[1] z, int64 j) {
            a = Mul(x, two)
            y = Add(a, x)
            z = Unsqueeze(y, axes)
            b = Add(i, i)
            j = Squeeze(b)
        }""",
        {"two": scalar(2), "axes": ints(0)},
    )


def gathers() -> onnx.ModelProto:
    """Indices out of order, negative, of several ranks."""
    return model(
        """g (float[5,3] x, int64[n] ids) => (float[n,2] y, float[3] z, float[2,2,3] u,
                                              float[5,3] v) {
            y = Gather<axis=0>(table, ids)
            z = Gather<axis=0>(x, last)
            u = Gather<axis=0>(x, square)
            v = Gather<axis=0>(x, all)
        }""",
        {"table": normal(300, 2), "last": ints(-1).reshape(()), "all": ints(0, 1, 2, 3, 4)}
        | {"square": ints(0, -1, 2, -3).reshape(2, 2)},
    )


def constants() -> onnx.ModelProto:
    """Constants in every form they can be written in."""
    return model(
        """g (float[n,2] x) => (float[n,2] y, int64[2] z, string[2] s, float[2] f) {
            a = Constant<value_float=1.5>()
            b = Constant<value_floats=[1.0, 2.0]>()
            c = Constant<value = float[1,2] {0.5, -0.5}>()
            d = Mul(x, a)
            e = Add(d, b)
            y = Sub(e, c)
            i = Constant<value_int=3>()
            j = Constant<value_ints=[4, 5]>()
            z = Mul(i, j)
            s = Constant<value_strings=["left", "right"]>()
            f = ConstantOfShape(two)
        }""",
        {"two": ints(2)},
    )


def folds_to_a_large_tensor() -> onnx.ModelProto:
    """A megabyte from a few bytes: better left to be computed."""
    return model(
        """g (float[n,1] x) => (float[n] y) {
            big = ConstantOfShape<value = float[1] {0.25}>(size)
            more = Expand(row, size)
            both = Add(big, more)
            sum = ReduceSum<keepdims=0>(both, none)
            a = Mul(x, sum)
            y = Squeeze(a, axes)
        }""",
        {"size": ints(512, 512), "row": normal(1, 512), "axes": ints(1), "none": ints(0, 1)},
    )


def newest_operators() -> onnx.ModelProto:
    return model(
        """g (float[n,4,8] x) => (float[n,4,8] y, float[n,4,8] z) {
            a = Gelu(x)
            y = LayerNormalization<axis=-1>(a, s, k)
            r = RMSNormalization<axis=-1>(x, s)
            z = Softplus(r)
        }""",
        {"s": normal(8), "k": normal(8, seed=1)},
        opset=NEWEST,
        ir_version=11,
    )
