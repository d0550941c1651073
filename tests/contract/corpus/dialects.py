"""One thing as exporters write it: masks by indices, flattened batches, filled tensors."""

from __future__ import annotations

import numpy as np
import onnx

from tests.contract.corpus.build import ints, model, normal, scalar

_NUMBERS = {
    "i0": ints(0).reshape(()),
    "i1": ints(1).reshape(()),
    "v0": ints(0),
    "v1": ints(1),
    "last": ints(-1),
    "low": scalar(float(np.finfo(np.float32).min)),
    "lost": scalar(-np.inf),
    "zero": scalar(0.0),
}

_COUNTS = """
    s = Shape(mask) b = Gather(s, i0) t = Gather(s, i1)
    rb = Range(i0, b, i1) rt = Range(i0, t, i1)
    ub = Unsqueeze(rb, ax123) ut = Unsqueeze(rt, ax012) uq = Unsqueeze(rt, ax013)
    seen = Cast<to=9>(mask) ge = GreaterOrEqual(uq, i0)
"""
_AXES = {"ax123": ints(1, 2, 3), "ax012": ints(0, 1, 2), "ax013": ints(0, 1, 3)}


def mask_by_gather_nd() -> onnx.ModelProto:
    """A mask of padding looked up with counted indices, as ``torch.export`` lowers it."""
    return model(
        f"""g (int64[batch,seq] mask) => (float[batch,1,seq,seq] y) {{ {_COUNTS}
            both = Max(ub, ut) all = Shape(both)
            eb = Expand(ub, all) xb = Unsqueeze(eb, last)
            et = Expand(ut, all) xt = Unsqueeze(et, last)
            index = Concat<axis=-1>(xb, xt)
            found = GatherND(seen, index)
            visible = And(ge, found)
            y = Where(visible, zero, low)
        }}""",
        _NUMBERS | _AXES,
    )


def mask_by_flat_gather() -> onnx.ModelProto:
    """The same as TorchScript lowers it: rows after one another, and the number of the element."""
    return model(
        f"""g (int64[batch,seq] mask) => (float[batch,1,seq,seq] y) {{ {_COUNTS}
            flat = Flatten<axis=2>(seen) rows = Mul(ub, t) index = Add(ut, rows)
            found = Gather<axis=0>(flat, index) shape = Shape(index)
            straight = Reshape(found, shape)
            visible = And(ge, straight)
            y = Where(visible, zero, lost)
        }}""",
        _NUMBERS | _AXES,
    )


def fewer_columns_by_gather_nd() -> onnx.ModelProto:
    """Indices that count through part of an axis."""
    return model(
        """g (float[n,7] x, float[4] like) => (float[n,1,4] y) {
            s = Shape(x) n = Gather(s, i0) rn = Range(i0, n, i1) un = Unsqueeze(rn, ax12)
            four = Shape(like) f = Gather(four, i0) rf = Range(i0, f, i1) uf = Unsqueeze(rf, ax01)
            both = Max(un, uf) all = Shape(both)
            en = Expand(un, all) xn = Unsqueeze(en, last)
            ef = Expand(uf, all) xf = Unsqueeze(ef, last)
            index = Concat<axis=-1>(xn, xf)
            y = GatherND(x, index)
        }""",
        _NUMBERS | {"ax12": ints(1, 2), "ax01": ints(0, 1)},
    )


def strided_view() -> onnx.ModelProto:
    """``x.as_strided`` of what lies in order already."""
    return model(
        """g (float[n,6,1,1] x) => (float[n,6] y) {
            flat = Reshape(x, last) s = Shape(x) n = Gather(s, i0) r = Range(i0, n, i1)
            m = Mul(r, six) u = Unsqueeze(m, ax123) index = Add(u, columns)
            found = Gather<axis=0>(flat, index)
            y = Squeeze(found, ax23)
        }""",
        _NUMBERS
        | {"six": ints(6).reshape(()), "ax123": ints(1, 2, 3), "ax23": ints(2, 3)}
        | {"columns": np.arange(6).reshape(1, 6, 1, 1)},
    )


def row_of_each() -> onnx.ModelProto:
    """The row at the largest of some numbers, from each of a batch: by GatherND, and flattened."""
    return model(
        """g (float[n,s,4] x, float[n,s] scores) => (float[n,4] y, float[n,4] z) {
            j = ArgMax<axis=-1, keepdims=0>(scores)
            shape = Shape(x) n = Gather(shape, i0) s = Gather(shape, i1) r = Range(i0, n, i1)
            ui = Unsqueeze(r, last) uj = Unsqueeze(j, last) index = Concat<axis=-1>(ui, uj)
            y = GatherND(x, index)
            flat = Reshape(x, rows) first = Mul(r, s) number = Add(j, first)
            z = Gather<axis=0>(flat, number)
        }""",
        _NUMBERS | {"rows": ints(-1, 4)},
    )


def flattened_heads() -> onnx.ModelProto:
    """Attention over heads gathered into the batch, with a relative bias and scores filled in."""
    heads = "".join(
        f"""{x}r = Reshape({x}, split) {x}t = Transpose<perm=[0,2,1,3]>({x}r)
            {x}3 = Reshape({x}t, gather) """
        for x in "qkv"
    )
    return model(
        f"""g (float[b,5,8] q, float[b,5,8] k, float[b,5,8] v, bool[b,1,5,5] m)
            => (float[b,5,8] y) {{ {heads}
            kx = Transpose<perm=[0,2,1]>(k3) kd = Div(kx, root) p = MatMul(q3, kd)
            bias = MatMul(q3, table) z3 = Add(p, bias) z = Reshape(z3, spread)
            f = Where(m, z, low) w = Softmax<axis=-1>(f) w3 = Reshape(w, gather_w)
            o3 = MatMul(w3, v3) o = Reshape(o3, spread_o)
            ot = Transpose<perm=[0,2,1,3]>(o) y = Reshape(ot, join)
        }}""",
        _NUMBERS
        | {"split": ints(0, 0, 4, 2), "gather": ints(-1, 5, 2), "gather_w": ints(-1, 5, 5)}
        | {"spread": ints(-1, 4, 5, 5), "spread_o": ints(-1, 4, 5, 2), "join": ints(0, 0, 8)}
        | {"root": scalar(1.7), "table": normal(1, 2, 5)},
    )


def filled_and_repeated() -> onnx.ModelProto:
    """Tensors of one number, rows repeated by Tile, a condition that always holds."""
    return model(
        """g (float[n,m] x) => (float[n,m] y, float[n,m] z, float[n,m] w) {
            s = Shape(x) ones = ConstantOfShape<value = int64[1] {1}>(s)
            c = Cast<to=9>(ones) y = Where(c, x, zero)
            zeros = ConstantOfShape(s) z = Add(x, zeros)
            n = Gather(s, v0) times = Concat<axis=0>(n, v1) m = Gather(s, i1)
            r = Range(i0, m, i1) u = Unsqueeze(r, v0) t = Tile(u, times) f = Cast<to=1>(t)
            w = Mul(f, x)
        }""",
        _NUMBERS,
    )


def recurrent_from_zeros() -> onnx.ModelProto:
    """Layers whose initial states are zeros of a computed shape, both states read."""
    return model(
        """g (float[t,b,3] x) => (float[t,1,b,4] y, float[1,b,4] h, float[t,1,b,4] z) {
            s = Shape(x) b = Gather(s, v1) shape = Concat<axis=0>(v1, b, four)
            zeros = ConstantOfShape(shape)
            y, h = LSTM<hidden_size=4>(x, w, r, , , zeros, zeros)
            z = GRU<hidden_size=4>(x, wg, rg, , , zeros)
        }""",
        _NUMBERS
        | {"four": ints(4), "w": normal(1, 16, 3), "r": normal(1, 16, 4)}
        | {"wg": normal(1, 12, 3), "rg": normal(1, 12, 4)},
    )


def mean_of_image() -> onnx.ModelProto:
    """The mean over an image as a reduction, of a sequence with an axis added, and a norm's."""
    return model(
        """g (float[n,4,a,b] x, float[n,4,t] s)
            => (float[n,4] y, float[n,4,1] z, float[n,4,a,b] c) {
            y = ReduceMean<keepdims=0>(x, ax23)
            u = Unsqueeze(s, ax2) m = ReduceMean<keepdims=1>(u, ax23) z = Squeeze(m, ax2)
            d = ReduceMean<keepdims=1>(x, ax23) c = Sub(x, d)
        }""",
        {"ax23": ints(2, 3), "ax2": ints(2)},
    )


def extents_read_in_many_places() -> onnx.ModelProto:
    """One shape put together twice, from the input and from what has its shape."""
    return model(
        """g (float[n,m,4] x) => (float[n,m,4] y, float[k] z, int64[2] e) {
            r = Relu(x) t = Transpose<perm=[1,0,2]>(r)
            s = Shape(t) n = Gather(s, i1) un = Unsqueeze(n, v0) m = Gather(s, v0)
            shape = Concat<axis=0>(un, m, four) y = Reshape(r, shape)
            sx = Shape(x) a = Gather(sx, v0) b = Gather(sx, v1) ab = Mul(a, b)
            size = Mul(ab, four) z = Reshape(t, size) e = Concat<axis=0>(m, un)
        }""",
        _NUMBERS | {"four": ints(4)},
    )
