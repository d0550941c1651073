"""Whole inspections: of the corpus, of hostile models, from Python."""

from __future__ import annotations

import io
import json
from pathlib import Path

import onnx_ir as ir
import pytest

import onnxopt
from onnxopt.errors import ModelError, UsageError
from onnxopt.inspection import inspect
from onnxopt.inspection.console import render
from onnxopt.render import Paper
from onnxopt.report import Size
from tests.costs.test_corpus import PUBLISHED
from tests.shapes.models import parse
from tests.shapes.test_backend_nodes import cases
from tests.shapes.test_corpus import models

TEXT = """g (float[batch,3] x, float[?,4] z) => (float[batch,2] y)
<float[3,2] w = {1, 0, 0, 2, 0, 0}> { y = MatMul (x, w) t = Relu (z) }"""


def said(model: ir.Model) -> str:
    stream = io.StringIO()
    render(inspect(model), Paper(stream), title="m")
    return stream.getvalue()


@models
def test_real_models(path: Path) -> None:
    model = onnxopt.load(path)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    found = onnxopt.inspect(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before
    assert found.uncounted == ()
    assert found.macs == pytest.approx(PUBLISHED.get(path.parent.name, found.macs), rel=0.04)
    assert sum(row.nbytes for row in found.weights.by_type) == found.size.weight_bytes
    assert 0 < found.memory.peak <= found.memory.separate_peak
    assert len(found.layers) >= found.size.nodes
    assert json.loads(json.dumps(found.to_dict()))["totals"]["macs"] == found.macs
    assert said(model)


def test_open_extents_and_sizes() -> None:
    model = parse(TEXT)
    found = inspect(model, shapes=("x=5,3",))
    assert [(extent.name, extent.places) for extent in found.extents] == [
        ("batch", ("x:0", "y:0")),
        ("z:0", ("z:0",)),
    ]
    assert found.sizes["batch"] == 5
    assert found.macs == 5 * 3 * 2
    assert found.formula == "6*batch"
    assert (found.weights.parameters, found.weights.zeros) == (6, 4)
    assert Size.of(model) == found.size


def test_the_default_of_an_input_counts_as_a_weight() -> None:
    numbers = ", ".join("1" * 12)
    text = "g (float[2,3] x) => (float[2,4] y) <float[3,4] w = {%s}> { y = MatMul(x, w) }"
    model = parse(text % numbers)
    fixed = inspect(model).layers
    model.graph.inputs.append(model.graph.initializers["w"])
    (layer,) = inspect(model).layers
    assert (layer,) == fixed
    assert (layer.inputs, layer.weights, layer.weight_bytes) == ("2x3", "3x4", 48)


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="has 3 where 4 is given"):
        inspect(parse(TEXT), shapes=("x=5,4",))
    with pytest.raises(UsageError, match="expected INPUT"):
        inspect(parse(TEXT), shapes=("q=5,4",))


def test_sizes_are_taken_at_which_the_nodes_agree() -> None:
    values = ", ".join(["1"] * 100)
    text = f"""g (float[1,1,time] x) => (float[1,1,t] y) <float[1,1,100] w = {{{values}}}>
    {{ y = Conv (x, w) }}"""
    found = inspect(parse(text))
    assert found.sizes["time"] >= 100
    assert found.macs == 100 * (found.sizes["time"] - 99)
    assert found.stops == ()


def test_a_branch_that_is_not_taken_is_not_looked_at() -> None:
    text = """g (float[n,4] x) => (float[n,m] y) {
      s = Shape (x) one = Constant <value = int64[1] {0}> () first = Gather (s, one)
      f = Squeeze (first) two = Constant <value = int64 {2}> () c = Equal (f, two)
      y = If (c) <
        then_branch = t () => (float[2,4] p) { p = Exp (x) },
        else_branch = e () => (float[n,4] q) { z = Constant <value = int64[1] {0}> ()
          a = Concat <axis = 0> (x, x, x, x) r = Squeeze (a, z) q = Neg (r) }
      > }"""
    found = inspect(parse(text), shapes=("x=2,4",))
    assert found.stops == ()
    assert [row.times for row in found.layers if row.operator in ("Exp", "Concat")] == [1, 0]
    assert found.memory.peak < 100


def test_unknown_operators_are_named() -> None:
    text = """<ir_version: 8, opset_import: ["": 17, "far": 1]>
    g (float[2] x) => (float[2] y) { a = far.Away (x) y = Relu (a) }"""
    out = said(parse(text))
    assert "at least 0 MACs" in out
    assert "operator far::Away is not in the cost table" in out
    assert "operator far::Away is unknown" in out


def test_bytes_that_only_the_data_tell_are_a_least() -> None:
    text = "g (float[4,4] x) => (int64[t,2] y) { n = NonZero(x) y = Transpose(n) }"
    found = inspect(parse(text))
    assert "nbytes" in found.lacking
    assert "macs" not in found.lacking
    assert "at least 0 B moved" in said(parse(text))


def test_inputs_that_are_no_tensors() -> None:
    text = "g (seq(float[2]) s, float[n] x) => (float[n] y) { l = SequenceLength (s) y = Exp (x) }"
    found = inspect(parse(text))
    assert found.inputs[0].type.startswith("Sequence")
    assert found.extents[0].size is None
    assert found.operators


@pytest.mark.parametrize(
    "call",
    [
        "y = Conv (x)",
        "y = Gemm (x)",
        "y = If (x)",
        "y = Einsum (x, x)",
        "y = Relu ()",
        "y = LSTM (x)",
    ],
)
def test_malformed_nodes(call: str) -> None:
    assert said(parse(f"g (float[2,3] x) => (float y) {{ {call} }}"))


def test_names_cannot_steer_a_terminal() -> None:
    model = parse(TEXT)
    next(iter(model.graph)).name = "\x1b[31mred\n"
    model.graph.inputs[0].name = "\x1b[2Jx"
    model.producer_name = "\x1b]0;title\x07"
    out = said(model)
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "red" in out


def test_of_onnx_own_node_tests_nothing_stays_unknown_without_a_reason() -> None:
    seen, problems = 0, []
    for name, proto, _, _ in cases()[::3]:
        found = inspect(ir.from_proto(proto))
        seen += 1
        for row in found.layers:
            if None in (row.macs, row.ops, row.nbytes, row.times) and not row.unknown:
                problems.append(f"{name}: {row.operator}")
            if "#" in row.unknown:
                problems.append(f"{name}: {row.unknown}")
    assert problems == []
    assert seen > 500


def test_a_weight_that_does_not_fill_its_shape() -> None:
    text = "g (float[2,4] x) => (float[2,3] y) <float[4,3] w = {1}> { y = MatMul (x, w) }"
    with pytest.raises(ModelError, match="weight 'w' cannot be read"):
        inspect(parse(text))


def test_a_model_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x07garbage")
    with pytest.raises(ModelError):
        onnxopt.inspect(path)
    with pytest.raises(UsageError):
        onnxopt.inspect(7)  # type: ignore[arg-type]
