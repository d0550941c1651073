"""Nodes that break their operator's definition, and numbers at the edge of their type."""

from __future__ import annotations

import onnx.parser
import onnx_ir as ir
import pytest

from onnxopt import shapes
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import check, model_of

LAST = 2**63 - 1
ONE = "w = Constant<value=float[1,1,1,1] {1}>() k = Constant<value=float {2}>()"
SHAPES = "s = Constant<value_ints=[4,3,3]>() t = Constant<value_ints=[2,3,3]>()"
BODIES = [
    "y = Transpose<perm=[0,9]>(x)",
    'y = Transpose<perm="a">(x)',
    'y = Einsum<equation="ij,jk->ik">(x)',
    "i = Constant<value_ints=[0,1,2]>() y = Gather<axis=7>(x, i)",
    "a = Constant<value_ints=[9]>() y = ReduceSum(x, a)",
    f"{SHAPES} e = Expand(x, s) y = Expand(e, t)",
    f"{ONE} m = Mul(x, k) y = Conv<group=3>(m, w)",
    f"{ONE} m = Mul(x, k) y = Conv<group=0>(m, w)",
]


@pytest.mark.parametrize("body", BODIES)
def test_a_node_that_cannot_run_stays(body: str) -> None:
    model = model_of(f"(float[N,3] x) => (y) {{ {body} }}")
    kinds = [node.op_type for node in model.graph]
    shapes.infer(model)
    Pipeline.parse("simplify, fuse, einsum").run(model, Context())
    assert [node.op_type for node in model.graph] == kinds


def test_slices_that_start_and_step_beyond_all_numbers() -> None:
    bounds = f"s = Constant<value_ints=[{LAST}]>() a = Constant<value_ints=[0]>()"
    text = f"""(float[4] x) => (float[M] y) {{ {bounds}
        q = Slice(x, s, s, a, s) y = Slice(q, s, s, a, s) }}"""
    check(text, "simplify", ["Slice"])


def test_infinite_lower_bound_of_a_clip() -> None:
    text = """(float[4] x) => (float[4] y) { z = Constant<value=float {0}>()
        o = Constant<value=float {1}>() b = Div(o, z) c = Clip(x, z, o) y = Clip(c, b) }"""
    check(text, "fold-constants, simplify", ["Clip"])


def test_a_product_of_unknown_rank_keeps_its_wide_factor() -> None:
    text = """(float[4] x, int64[R] s) => (y) { r = Reshape(x, s)
        w = Constant<value=float[4,1] {1,2,3,4}>() k = Constant<value=float[1,1] {2}>()
        m = MatMul(r, w) y = Mul(m, k) }"""
    model = model_of(text)
    assert Pipeline.parse("fuse").run(model, Context()) == 0


@pytest.mark.parametrize(
    "body",
    [
        "b = Transpose<perm: ints = @perm>(a)",
        "c, d = Split<axis: int = @axis, num_outputs = 2>(a) b = Concat<axis = 0>(c, d)",
    ],
)
def test_a_function_whose_attributes_depend_on_the_call_stays(body: str) -> None:
    text = f"""<ir_version: 10, opset_import: ["" : 18, "l" : 1]>
        g (float[2,2] x) => (float[2,2] y) {{ y = l.f<perm = [1,0], axis = 1>(x) }}
        <domain: "l", opset_import: ["" : 18]> f <perm, axis> (a) => (b) {{ {body} }}"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    assert Pipeline.parse("simplify, fuse").run(model, Context()) == 0
