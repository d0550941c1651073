"""Functions become the nodes they are made of."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.errors import ModelError
from onnxopt.pipeline import Pipeline
from tests.passes.tools import check, model_of, run


def with_functions(text: str) -> ir.Model:
    model = model_of(text)
    model.opset_imports["local"] = 1
    return model


def alone(model: ir.Model, *ops: str) -> None:
    """Inline what ONNX Runtime does not load, and hold operators and interface."""
    Pipeline.parse("inline").run(model, Context())
    assert sorted(node.op_type for node in model.graph) == sorted(ops)
    found = run(ir.to_proto(model), {"x": np.ones(2, np.float32)})
    computed = {"Identity": np.ones(2, np.float32), "Sin": np.sin(np.ones(2, np.float32))}
    first = "Sin" if ops[0] == "Sin" else "Identity"
    np.testing.assert_allclose(found["y"], computed[first])
    np.testing.assert_allclose(found["z"], computed["Sin"])


HEAD = '<domain: "local", opset_import: ["" : 18, "local" : 1]>'


def test_functions_that_call_functions() -> None:
    text = f"""(float[n] x, float[n] a) => (float[n] y) {{
        b = local.outer(x, a) y = local.outer(b, x) }}
        {HEAD} outer (x, a) => (y) {{ b = local.inner(x) y = Sub(b, a) }}
        {HEAD} inner (a) => (y) {{ x = Sin(a) y = Cos(x) }}"""
    model = check(with_functions(text), "inline", ["Cos", "Cos", "Sin", "Sin", "Sub", "Sub"])
    assert not model.functions


def test_calls_inside_of_bodies_and_bodies_inside_of_functions() -> None:
    text = f"""(float[n] x, bool c) => (float[n] y) {{
        y = If(c) <then_branch = t () => (float[n] p) {{ h = Exp(x) p = local.f(h, c) }},
                   else_branch = e () => (float[n] q) {{ q = local.f(x, c) }}> }}
        {HEAD} f (x, c) => (y) {{
            h = Sin(x)
            y = If(c) <then_branch = t () => (float[n] p) {{ p = Neg(h) }},
                       else_branch = e () => (float[n] q) {{ q = Cos(h) }}> }}"""
    ops = ["Cos", "Cos", "Exp", "If", "If", "If", "Neg", "Neg", "Sin", "Sin"]
    check(with_functions(text), "inline", ops)


def test_attributes_and_their_defaults() -> None:
    text = f"""(float[n] x) => (float[n] y, float[n] z) {{
        y = local.f<slope=0.25>(x) z = local.f(x) }}
        {HEAD} f <slope: float = 0.5> (x) => (y) {{ y = LeakyRelu<alpha: float = @slope>(x) }}"""
    model = check(with_functions(text), "inline", ["LeakyRelu", "LeakyRelu"])
    assert [graph.attr_float(node, "alpha", 0) for node in model.graph] == [0.25, 0.5]


def test_inputs_that_a_call_leaves_out() -> None:
    text = f"""(float[n] x, float low) => (float[n] y, float[n] z) {{
        y = local.f(x, , low) z = local.f(x) }}
        {HEAD} f (x, low, high) => (y) {{ y = Clip(x, low, high) }}"""
    check(with_functions(text), "inline", ["Clip", "Clip"])


def test_an_output_that_a_call_does_not_want() -> None:
    text = f"""(float[n] x) => (float[n] y) {{ , y = local.f(x) }}
        {HEAD} f (x) => (a, b) {{ a = Sin(x) b = Cos(x) }}"""
    check(with_functions(text), "inline", ["Cos"])


def test_a_function_that_hands_on_its_input() -> None:
    text = f"""(float[n] x) => (float[n] y, float[n] z) {{ y, z = local.f(x) }}
        {HEAD} f (x) => (x, y) {{ y = Sin(x) }}"""
    alone(with_functions(text), "Identity", "Sin")


def test_a_function_that_calls_itself_is_refused() -> None:
    text = f"""(float[n] x) => (float[n] y) {{ y = local.f(x) }}
        {HEAD} f (x) => (y) {{ a = Sin(x) y = local.g(a) }}
        {HEAD} g (x) => (y) {{ y = local.f(x) }}"""
    with pytest.raises(ModelError, match="cannot be inlined: Cyclic dependency") as raised:
        Pipeline.parse("inline").run(with_functions(text), Context())
    assert "\n" not in str(raised.value)


def test_a_function_of_another_version_keeps_its_meaning() -> None:
    """Softmax flattens up to version 12; Squeeze's axes are an attribute there."""
    text = """(float[2,3,4] x) => (float[2,3,4] y) { y = local.old(x) }
        <domain: "local", opset_import: ["" : 11]> old (x) => (y) {
            a = Unsqueeze<axes=[0]>(x) b = Squeeze<axes=[0]>(a) y = Softmax<axis=1>(b) }"""
    model = with_functions(text)
    Pipeline.parse("inline").run(model, Context())
    assert len(model.functions) == 1
    assert [node.op_type for node in model.graph] == ["old"]


def test_what_a_function_of_another_version_calls_stays_too() -> None:
    text = f"""(float[n] x) => (float[n] y) {{
        a = local.old(x) b = local.new(a) y = local.sine(b) }}
        <domain: "local", opset_import: ["" : 11, "local" : 1]>
        old (x) => (y) {{ y = local.new(x) }}
        {HEAD} new (x) => (y) {{ y = Exp(x) }}
        {HEAD} sine (x) => (y) {{ y = Sin(x) }}"""
    model = check(with_functions(text), "inline", ["Exp", "Sin", "new", "new", "old"])
    assert {name for _, name, _ in model.functions} == {"old", "new"}
    assert Pipeline.parse("inline").run(model, Context()) == 0


def test_one_value_for_two_outputs() -> None:
    text = f"""(float[n] x) => (float[n] y, float[n] z) {{ y, z = local.f(x) }}
        {HEAD} f (x) => (a, a) {{ a = Sin(x) }}"""
    alone(with_functions(text), "Sin", "Identity")
