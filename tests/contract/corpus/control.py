"""Branches, loops, functions, sequences: graphs within graphs."""

from __future__ import annotations

import numpy as np
import onnx

from tests.contract.corpus.build import floats, ints, model, normal


def if_constant() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (float[n,3] y) {
            yes = Constant<value = bool {1}>()
            a = If (yes) <
                then_branch = t () => (float[n,3] p) { p = Relu(x) },
                else_branch = e () => (float[n,3] q) { q = Neg(x) }
            >
            y = Mul(a, w)
        }""",
        {"w": normal(3)},
    )


def if_on_known_rank() -> onnx.ModelProto:
    """The guard that an exporter puts before a squeeze."""
    return model(
        """g (float[n,1,3] x) => (float[n,3] y) {
            s = Shape<start=1, end=2>(x)
            d = Squeeze(s, zero)
            is_one = Equal(d, one)
            y = If (is_one) <
                then_branch = t () => (float[a,b] p) { p = Squeeze(x, axis) },
                else_branch = e () => (float[c,d,f] q) { q = Identity(x) }
            >
        }""",
        {"one": ints(1).reshape(()), "zero": ints(0), "axis": ints(1)},
    )


def if_dynamic() -> onnx.ModelProto:
    """Both branches hold work, weights of their own, and the same work as outside."""
    return model(
        """g (float[n,3] x, bool flag) => (float[n,3] y, float[n,3] z) {
            a = Exp(x)
            y, z = If (flag) <
                then_branch = t () => (float[n,3] p, float[n,3] q) {
                    b = Exp(x)
                    c = Identity(b)
                    p = Add(c, w)
                    q = Relu(a)
                },
                else_branch = e () => (float[n,3] r, float[n,3] s)
                <float[3] k = {1.0, 2.0, 3.0}> {
                    d = Neg(a)
                    r = Mul(d, k)
                    unused = Sqrt(a)
                    s = Identity(a)
                }
            >
        }""",
        {"w": normal(3)},
    )


def if_with_unused_output() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x, bool flag) => (float[n,3] y) {
            y, extra = If (flag) <
                then_branch = t () => (float[n,3] p, float[n,3] q) { p = Relu(x) q = Exp(x) },
                else_branch = e () => (float[n,3] r, float[n,3] s) { r = Neg(x) s = Sin(x) }
            >
        }"""
    )


def if_nested() -> onnx.ModelProto:
    """The inner branch uses values of both scopes round it."""
    return model(
        """g (float[n,3] x, bool flag, bool other) => (float[n,3] y) {
            outer = Identity(x)
            y = If (flag) <
                then_branch = t () => (float[n,3] p) {
                    middle = Relu(outer)
                    p = If (other) <
                        then_branch = tt () => (float[n,3] u) { u = Add(middle, outer) },
                        else_branch = te () => (float[n,3] v) { v = Sub(middle, w) }
                    >
                },
                else_branch = e () => (float[n,3] q) { q = Neg(outer) }
            >
        }""",
        {"w": normal(3)},
    )


def loop_constant() -> onnx.ModelProto:
    """Three turns: x doubled each time, what was reached kept."""
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[3,n,3] all) {
            trips = Constant<value = int64 {3}>()
            yes = Constant<value = bool {1}>()
            y, all = Loop (trips, yes, x) <
                body = b (int64 i, bool go, float[n,3] before)
                    => (bool again, float[n,3] after, float[n,3] seen) {
                    again = Identity(go)
                    after = Add(before, before)
                    t = Identity(after)
                    seen = Mul(t, w)
                }
            >
        }""",
        {"w": normal(3)},
    )


def loop_until() -> onnx.ModelProto:
    """The body decides when to stop; a value that never changes is carried along."""
    return model(
        """g (float[3] x, int64 trips) => (float[3] y, float[3] same, float[a] all) {
            yes = Constant<value = bool {1}>()
            y, same, all = Loop (trips, yes, x, w) <
                body = b (int64 i, bool go, float[3] before, float[3] carried)
                    => (bool again, float[3] after, float[3] passed, float scan) {
                    after = Add(before, carried)
                    none = Constant<value_ints=[0]>()
                    scan = ReduceSum<keepdims=0>(after, none)
                    limit = Constant<value = float {20.0}>()
                    again = Less(scan, limit)
                    passed = Identity(carried)
                }
            >
        }""",
        {"w": floats(1, 2, 3)},
    )


def loop_of_no_turns() -> onnx.ModelProto:
    return model(
        """g (float[3] x) => (float[3] y, int64[a] all) {
            trips = Constant<value = int64 {0}>()
            y, all = Loop (trips, , x) <
                body = b (int64 i, bool go, float[3] before)
                    => (bool again, float[3] after, int64 seen) {
                    again = Identity(go)
                    after = Neg(before)
                    seen = Identity(i)
                }
            >
        }"""
    )


def scan() -> onnx.ModelProto:
    """Running sums over the first axis."""
    return model(
        """g (float[t,3] x) => (float[3] y, float[t,3] z) {
            y, z = Scan <num_scan_inputs=1,
                body = b (float[3] sum, float[3] row) => (float[3] next, float[3] seen) {
                    next = Add(sum, row)
                    twice = Mul(next, w)
                    seen = Identity(twice)
                }
            > (start, x)
        }""",
        {"start": np.zeros(3, np.float32), "w": normal(3)},
    )


def same_names_inside() -> onnx.ModelProto:
    """The two branches name their values alike."""
    return model(
        """g (float[n,3] x, bool flag) => (float[n,3] y) {
            y = If (flag) <
                then_branch = t () => (float[n,3] out) {
                    tmp = Exp(x)
                    out = Add(tmp, tmp)
                },
                else_branch = e () => (float[n,3] out) {
                    tmp = Neg(x)
                    out = Identity(tmp)
                }
            >
        }"""
    )


def function() -> onnx.ModelProto:
    """Called twice, with different constants."""
    return model(
        """g (float[n,3] x) => (float[n,3] y) {
            a = local.affine(x, p, q)
            y = local.affine(a, q, p)
        }""",
        {"p": normal(3), "q": normal(3, seed=1)},
        domains=["local"],
        functions="""<domain: "local", opset_import: ["" : 20]>
        affine (x, scale, shift) => (y) {
            a = Mul(x, scale)
            b = Identity(a)
            y = Add(b, shift)
        }""",
    )


def function_with_attribute() -> onnx.ModelProto:
    """An attribute is passed on to a node inside; a function calls another."""
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[n,3] z) {
            y = local.leaky<slope=0.2>(x)
            z = local.twice<slope=0.5>(x)
        }""",
        domains=["local"],
        functions="""<domain: "local", opset_import: ["" : 20]>
        leaky <slope> (x) => (y) {
            y = LeakyRelu<alpha: float = @slope>(x)
        }
        <domain: "local", opset_import: ["" : 20, "local" : 1]>
        twice <slope> (x) => (y) {
            a = local.leaky<slope: float = @slope>(x)
            y = local.leaky<slope: float = @slope>(a)
        }""",
    )


def function_with_branch() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x, bool flag) => (float[n,3] y) {
            y = local.choose(x, flag)
        }""",
        domains=["local"],
        functions="""<domain: "local", opset_import: ["" : 20]>
        choose (x, flag) => (y) {
            y = If (flag) <
                then_branch = t () => (float[n,3] p) { p = Relu(x) },
                else_branch = e () => (float[n,3] q) { q = Neg(x) }
            >
        }""",
    )


def sequences() -> onnx.ModelProto:
    return model(
        """g (float[n,6] x) => (float[n,3] y, int64 length) {
            three = Constant<value = int64 {3}>()
            parts = SplitToSequence<axis=1>(x, three)
            one = Constant<value = int64 {1}>()
            y = SequenceAt(parts, one)
            more = SequenceInsert(parts, y)
            length = SequenceLength(more)
        }"""
    )


def sequence_output() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (seq(float[n,3]) y) {
            a = Relu(x)
            b = Identity(x)
            y = SequenceConstruct(a, b)
        }"""
    )


def deeply_nested() -> onnx.ModelProto:
    """Eight branches, one inside the other."""
    text = "y0 = Neg(x)"
    for depth in range(1, 9):
        text = f"""y{depth} = If (flag) <
            then_branch = t{depth} () => (float[n,3] y{depth - 1}) {{ {text} }},
            else_branch = e{depth} () => (float[n,3] z{depth}) {{ z{depth} = Exp(x) }}
        >"""
    return model(f"g (float[n,3] x, bool flag) => (float[n,3] y8) {{ {text} }}")
