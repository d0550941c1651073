"""Half precision: which operators take it, what stays, and that the numbers are the type's."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue, shapes
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.samples import Samples
from onnxopt.verify import Verify
from tests.passes import weights
from tests.passes.tools import run

CPU = catalogue.backend("cpu{optimization=off, threads=1}").open

NET = """
(float[N,3,8,8] x, int64[1] k) => (float[N,5] y, float[N,16,8,8] c) {
  c = Conv <pads = [1, 1, 1, 1]> (x, w)
  r = Relu (c)
  g = GlobalAveragePool (r)
  f = Flatten (g)
  h = Gemm <transB = 1> (f, m, b)
  s = Mul (h, big)
  t = Tanh (s)
  y = MatMul (t, n)
}
"""
BRANCH = """
(float[4,4] x, bool p) => (float[4,4] y) {
  a = MatMul (x, w)
  b = If (p) <then_branch = g () => (float[4,4] u) { u = Relu (a) },
              else_branch = h () => (float[4,4] v) { v = Neg (a) }>
  y = MatMul (b, w)
}
"""


def net(scale: float = 1.0) -> ir.Model:
    model = weights.model(
        NET,
        {
            "w": weights.normal(16, 3, 3, 3),
            "m": weights.normal(32, 16),
            "b": weights.normal(32),
            "n": weights.normal(32, 5),
            "big": np.array([scale], np.float32),
        },
        opset=20,
    )
    shapes.infer(model)
    return model


def feeds(seed: int) -> dict[str, np.ndarray]:
    images = np.random.default_rng(seed).standard_normal((2, 3, 8, 8))
    return {"x": images.astype(np.float32), "k": np.array([1], np.int64)}


def halved(model: ir.Model, text: str = "quantize/half", count: int = 2) -> int:
    context = Context(load=CPU, samples=Samples.of([feeds(seed) for seed in range(count)]))
    return Pipeline.parse(text).run(model, context, [Verify()])


def kinds(model: ir.Model) -> dict[str, ir.DataType | None]:
    return {node.op_type: node.outputs[0].dtype for node in model.graph}


def test_everything_changes_between_two_casts_and_the_interface_stays() -> None:
    model = net()
    before = run(ir.to_proto(model), feeds(9))
    assert halved(model) == 8
    assert [node.op_type for node in model.graph].count("Cast") == 3
    assert {value.dtype for value in model.graph.outputs} == {ir.DataType.FLOAT}
    assert [value.name for value in model.graph.outputs] == ["y", "c"]
    layers = [node for node in model.graph if node.op_type in ("Conv", "Gemm")]
    read = {value.dtype for node in layers for value in node.inputs[1:2] if value is not None}
    assert read == {ir.DataType.FLOAT16}
    after = run(ir.to_proto(model), feeds(9))
    for name, array in before.items():
        assert after[name].dtype == np.float32
        np.testing.assert_allclose(after[name], array, atol=2e-2 * float(np.abs(array).max()))
        assert not np.array_equal(after[name], array)


def test_weights_are_rounded_as_numpy_rounds_them() -> None:
    model = net()
    halved(model)
    node = next(node for node in model.graph if node.op_type == "Conv")
    held = node.inputs[1]
    assert held is not None
    assert held.const_value is not None
    expected = weights.normal(16, 3, 3, 3).astype(np.float16)
    np.testing.assert_array_equal(held.const_value.numpy(), expected)


def test_what_overflows_on_samples_stays_in_float() -> None:
    model = net(scale=1e4)
    before = run(ir.to_proto(model), feeds(9))
    assert halved(model) == 6
    found = kinds(model)
    assert (found["Mul"], found["Tanh"]) == (ir.DataType.FLOAT, ir.DataType.FLOAT)
    assert found["MatMul"] == ir.DataType.FLOAT16
    after = run(ir.to_proto(model), feeds(9))
    assert all(np.isfinite(array).all() for array in after.values())
    np.testing.assert_allclose(after["y"], before["y"], atol=2e-2 * np.abs(before["y"]).max())


def test_what_keeps_a_division_from_zero_stays() -> None:
    text = """(float[N,8] x) => (float[N,8] y) {
        n = ReduceL2 <axes = [1]> (x)
        m = Max (n, tiny)
        y = Div (x, m)
    }"""
    model = weights.model(text, {"tiny": np.array(1e-12, np.float32)}, opset=13)
    shapes.infer(model)
    x = weights.normal(4, 8)
    context = Context(load=CPU, samples=Samples.of([{"x": x}]))
    Pipeline.parse("quantize/half").run(model, context, [Verify()])
    assert kinds(model)["Max"] == ir.DataType.FLOAT
    x[0] = 0
    assert np.isfinite(run(ir.to_proto(model), {"x": x})["y"]).all()


def test_bfloat16_has_the_range_but_fewer_operators() -> None:
    model = net(scale=1e4)
    assert halved(model, "raise-opset{to=22}, infer-shapes, quantize/half{type=bfloat16}") >= 8
    assert kinds(model)["Mul"] == ir.DataType.BFLOAT16
    old = net()
    assert halved(old, "quantize/half{type=bfloat16}") > 0
    assert kinds(old)["Conv"] == ir.DataType.FLOAT  # bfloat16 from operator set 22 on


def test_the_interface_changes_on_request() -> None:
    model = net()
    context = Context(load=CPU, samples=Samples.of([feeds(0)]))
    assert Pipeline.parse("quantize/half{interface=true}").run(model, context) == 8
    assert [node.op_type for node in model.graph].count("Cast") == 0
    values = (*model.graph.inputs, *model.graph.outputs)
    assert [v.dtype for v in values] == [
        ir.DataType.FLOAT16,
        ir.DataType.INT64,
        ir.DataType.FLOAT16,
        ir.DataType.FLOAT16,
    ]
    given = {**feeds(3), "x": feeds(3)["x"].astype(np.float16)}
    assert run(ir.to_proto(model), given)["y"].dtype == np.float16


def test_bodies_of_control_flow_read_what_they_did() -> None:
    model = weights.model(BRANCH, {"w": weights.normal(4, 4)}, opset=20)
    shapes.infer(model)
    given = {"x": weights.normal(4, 4), "p": np.array(True)}
    before = run(ir.to_proto(model), given)["y"]
    context = Context(load=CPU, samples=Samples.of([given]))
    assert Pipeline.parse("quantize/half").run(model, context, [Verify()]) == 2
    after = run(ir.to_proto(model), given)["y"]
    np.testing.assert_allclose(after, before, atol=2e-2 * np.abs(before).max())


@pytest.mark.parametrize(("options", "count"), [("skip=[Conv]", 7), ("only=[Gemm, y]", 2)])
def test_patterns_choose(options: str, count: int) -> None:
    assert halved(net(), f"quantize/half{{{options}}}") == count


def test_a_second_run_finds_nothing() -> None:
    model = net(scale=1e4)
    assert halved(model) == 6
    assert halved(model) == 0


@pytest.mark.parametrize(("perm", "left"), [([1, 0, 2], 2), ([0, 1, 2], 0)])
def test_what_the_runtime_cannot_join_stays(perm: list[int], left: int) -> None:
    """A product by weights of what a Transpose moved along the first axis."""
    text = f"""(float[N,S,8] x) => (float[S1,N1,4] y) {{
        r = Relu (x)
        t = Transpose <perm = {perm}> (r)
        y = MatMul (t, w)
    }}"""
    model = weights.model(text, {"w": weights.normal(8, 4)}, opset=20)
    shapes.infer(model)
    given = {"x": weights.normal(2, 3, 8)}
    before = run(ir.to_proto(model), given)["y"]
    target = catalogue.find_backend("cpu").target()
    context = Context(target=target, load=CPU, samples=Samples.of([given]))
    assert Pipeline.parse("quantize/half").run(model.clone(), context, [Verify()]) == 3 - left
    faster = dataclasses.replace(context, target=dataclasses.replace(target, half=("float16",)))
    assert Pipeline.parse("quantize/half").run(model.clone(), faster, [Verify()]) == 3
    Pipeline.parse("quantize/half").run(model, context, [Verify()])
    assert kinds(model)["Relu"] == ir.DataType.FLOAT16
    after = run(ir.to_proto(model), given)["y"]
    np.testing.assert_allclose(after, before, atol=2e-2 * float(np.abs(before).max()))


def test_an_attribute_that_names_the_type_keeps_it() -> None:
    text = "(float[N,3] x) => (float[N,3] y) { r = Relu (x) c = Cast <to = 1> (r) y = Relu (c) }"
    model = weights.model(text, {}, opset=20)
    shapes.infer(model)
    given = {"x": weights.normal(2, 3)}
    context = Context(load=CPU, samples=Samples.of([given]))
    assert Pipeline.parse("quantize/half").run(model, context, [Verify()]) == 2
    assert run(ir.to_proto(model), given)["y"].dtype == np.float32
