"""ONNX's attention as ONNX Runtime's operator, held against the former on the CPU."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxopt import catalogue, shapes
from onnxopt.backends._pipelines import ONNXRUNTIME_CUDA
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import model_of, random_feeds, run
from tests.passes.weights import model, normal, positive

TARGET = catalogue.find_backend("cpu").target()
HEAD = "float[B,S,8] q, float[B,T,8] k, float[B,T,8] v"


def made(mask: str = "", options: str = "", *, more: str = "", head: str = HEAD) -> ir.Model:
    """Return one Attention; ``more`` declares its mask."""
    inputs = f"{head}, {more}" if more else head
    return model_of(
        f"""({inputs}) => (float[B,S,8] y) {{
            y = Attention<q_num_heads=4, kv_num_heads=4 {options}>(q, k, v {mask}) }}""",
        opset=23,
    )


def left(source: ir.Model, *, hide: bool = False) -> list[str]:
    """Run the pass, hold the numbers at two sizes, and return the operators."""
    shapes.infer(source)
    before = ir.to_proto(source)
    Pipeline.parse("multi-head-attention, dce").run(source, Context(target=TARGET))
    after = ir.to_proto(source)
    for size in (2, 3):
        feeds = random_feeds(before, size)
        if hide:
            feeds["m"][..., 1, :] = -np.inf
        for name, expected in run(before, feeds).items():
            np.testing.assert_allclose(run(after, feeds)[name], expected, rtol=1e-5, atol=1e-5)
    return sorted(node.op_type for node in source.graph)


def test_without_mask() -> None:
    assert left(made()) == ["MultiHeadAttention"]


def test_scale() -> None:
    assert left(made(options=", scale=0.3")) == ["MultiHeadAttention"]


@pytest.mark.parametrize("shape", ["B,4,S,T", "1,1,S,T", "B,1,S,T"])
@pytest.mark.parametrize("hide", [False, True])
def test_mask_that_may_hide_all_is_guarded(shape: str, hide: bool) -> None:
    source = made(", m", more=f"float[{shape}] m")
    assert left(source, hide=hide) == ["IsNaN", "MultiHeadAttention", "Where"]


def test_mask_of_two_axes() -> None:
    source = made(", m", more="float[S,T] m")
    assert left(source) == ["IsNaN", "MultiHeadAttention", "Unsqueeze", "Where"]


def test_bounded_mask_needs_no_guard() -> None:
    text = f"""({HEAD}, bool[B,1,S,T] b) => (float[B,S,8] y) {{
        zero = Constant<value_float=0.0>() low = Constant<value_float=-1e38>()
        m = Where(b, zero, low)
        y = Attention<q_num_heads=4, kv_num_heads=4>(q, k, v, m) }}"""
    assert left(model_of(text, opset=23)) == ["Constant", "Constant", "MultiHeadAttention", "Where"]


@pytest.mark.parametrize(
    ("options", "head"),
    [
        ("q_num_heads=4, kv_num_heads=2", HEAD.replace("T,8", "T,4")),
        ("q_num_heads=4, kv_num_heads=4, is_causal=1", HEAD),
        ("q_num_heads=4, kv_num_heads=4, softcap=2.0", HEAD),
        ("scale=1.0", "float[B,2,S,8] q, float[B,2,T,8] k, float[B,2,T,8] v"),
    ],
)
def test_what_it_does_not_say_stays(options: str, head: str) -> None:
    source = model_of(f"({head}) => (y) {{ y = Attention<{options}>(q, k, v) }}", opset=23)
    shapes.infer(source)
    assert Pipeline.parse("multi-head-attention").run(source, Context(target=TARGET)) == 0


def test_a_block_through_the_cuda_pipeline() -> None:
    """A block as exported: its attention becomes one operator, and the numbers hold."""
    heads = " ".join(
        f"r{name} = Reshape({name}, split) t{name} = Transpose<perm=[0,2,1,3]>(r{name})"
        for name in ("q", "v")
    )
    source = model(
        f"""(float[B,6,8] x) => (float[B,6,8] y) {{
            q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) {heads}
            rk = Reshape(k, split) tk = Transpose<perm=[0,2,3,1]>(rk)
            p = MatMul(tq, tk) s = Mul(p, half) w = Softmax<axis=-1>(s) o = MatMul(w, tv)
            to = Transpose<perm=[0,2,1,3]>(o) j = Reshape(to, join)
            a = Add(x, j) y = LayerNormalization(a, scale, bias) }}""",
        dict(zip(("wq", "wk", "wv"), normal(3, 8, 8), strict=True))
        | {"split": np.array([0, 0, 4, 2]), "join": np.array([0, 0, 8])}
        | {"half": np.array(0.5, np.float32), "scale": positive(8), "bias": normal(8)},
    )
    before = ir.to_proto(source)
    Pipeline.parse(ONNXRUNTIME_CUDA).run(source, Context(target=TARGET))
    assert "MultiHeadAttention" in [node.op_type for node in source.graph]
    after = ir.to_proto(source)
    feeds = random_feeds(before, 2)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(after.SerializeToString(), options)
    np.testing.assert_allclose(session.run(None, feeds)[0], run(before, feeds)["y"], atol=1e-5)
