"""Quantization that needs no samples: activations found anew for every run, and weights alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from onnxopt import catalogue, io
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.verify import Verify
from tests.contract.corpus.build import normal
from tests.quantization.tools import EXACT, TARGET, Array, coverage, ran, read, sqnr

WEIGHTS: dict[str, Array] = {
    "w": normal(64, 96) / 8,
    "b": normal(96),
    "v": normal(40, 96, seed=1) / 10,
    "c": normal(40),
}
ROWS = """
g (float[5,64] x) => (float[5,40] y) {
  a = Gemm(x, w, b)
  r = Relu(a)
  y = Gemm <transB = 1> (r, v, c)
}"""
SEQUENCE = """
g (float[1,n,64] x) => (float[1,n,96] y, float[1,n,96] z) {
  m = MatMul(x, w)
  y = Add(m, b)
  z = MatMul(x, u)
}"""
WEIGHTS["u"] = normal(64, 96, seed=3) / 8
FLOAT4 = onnx.TensorProto.FLOAT4E2M1
FEEDS: dict[str, Array] = {ROWS: normal(5, 64), SEQUENCE: normal(1, 7, 64)}


def example(text: str, opset: int = 25) -> ir.Model:
    used = {
        name: array for name, array in WEIGHTS.items() if f" {name})" in text or f" {name}," in text
    }
    return read(text, used, opset=opset)


def run(made: ir.Model, text: str) -> int:
    steps = Pipeline.parse(f"{text}, dce")
    before = Pipeline(steps.steps[:1])
    count = before.run(made, Context(target=TARGET), [Verify()])
    Pipeline(steps.steps[1:]).run(made, Context(target=TARGET), [Verify()])
    return count


@pytest.mark.parametrize("text", [ROWS, SEQUENCE], ids=["rows", "sequence"])
def test_dynamic_products_run_as_one_operator_each(text: str, tmp_path: Path) -> None:
    made = example(text, 17)
    feeds = {"x": FEEDS[text]}
    before = EXACT(made, feeds)
    assert run(made, "quantize/dynamic") == 2
    assert sqnr(before, EXACT(made, feeds)) > 35
    operators = [operator for _, operator in ran(made, tmp_path)]
    integer = {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
    assert sum(operator in integer for operator in operators) == 2
    assert integer.isdisjoint({"Add", "Cast", "Gemm", "MatMul"} & set(operators))
    assert [value.name for value in made.graph.outputs] == (["y"] if text is ROWS else ["y", "z"])
    expected, found = coverage(made, tmp_path)
    assert len(expected.integer) == 2
    assert found == expected


def test_products_that_read_one_value_quantize_it_once() -> None:
    made = example(SEQUENCE, 17)
    run(made, "quantize/dynamic")
    assert [node.op_type for node in made.graph].count("DynamicQuantizeLinear") == 1


@pytest.mark.parametrize(
    ("options", "least_db", "bits"),
    [
        ("", 40, 8),
        ("type=uint8, symmetric=false", 40, 8),
        ("type=int8, block=32", 40, 8),
        ("type=int16", 80, 16),
        ("type=int4, block=16", 17, 4),
        ("type=uint4, block=32, symmetric=false", 17, 4),
        ("type=int4", 15, 4),
        ("type=int2, block=16", 1, 2),
        ("type=uint2, block=16, symmetric=false", 3, 2),
        ("type=binary", 3, 1),
        ("type=float8e4m3fn", 30, 8),
        ("type=float8e5m2", 24, 8),
        ("type=float8e4m3fn, block=16", 30, 8),
    ],
)
@pytest.mark.parametrize("text", [ROWS, SEQUENCE], ids=["rows", "sequence"])
def test_weights_are_stored_in_their_bits(
    text: str, options: str, least_db: float, bits: int, tmp_path: Path
) -> None:
    made = example(text)
    feeds = {"x": FEEDS[text]}
    before, elements = EXACT(made, feeds), _weight_bytes(made) / 4
    assert run(made, f"quantize/weights{{{options}}}") == 2
    assert sqnr(before, EXACT(made, feeds)) > least_db
    block = int(options.partition("block=")[2].partition(",")[0] or 40)
    assert _weight_bytes(made) < elements * (bits / 8 + 6 / block) + 1000
    io.save(made, tmp_path / "small.onnx")
    again = EXACT(io.load(tmp_path / "small.onnx"), feeds)
    assert all(np.array_equal(again[name], array) for name, array in EXACT(made, feeds).items())


def _weight_bytes(made: ir.Model) -> int:
    held = [value.const_value for value in made.graph.initializers.values()]
    return sum(tensor.nbytes for tensor in held if tensor is not None)


@pytest.mark.parametrize("text", [ROWS, SEQUENCE], ids=["rows", "sequence"])
def test_float4_is_what_onnx_says(text: str) -> None:
    made = example(text)
    feeds = {"x": FEEDS[text]}
    before = EXACT(made, feeds)
    assert run(made, "quantize/weights{type=float4e2m1, block=16}") == 2
    proto = ir.to_proto(made)
    onnx.checker.check_model(proto, full_check=True)
    names = [value.name for value in proto.graph.output]
    after = dict(zip(names, ReferenceEvaluator(proto).run(None, feeds), strict=True))
    assert 15 < sqnr(before, after) < 30
    packed = [tensor for tensor in proto.graph.initializer if tensor.data_type == FLOAT4]
    assert max(len(tensor.raw_data) for tensor in packed) == 96 * 64 // 2


@pytest.mark.parametrize(("channels", "changes"), [(64, 1), (65, 0), (66, 0), (68, 1)])
def test_two_bits_that_fill_no_bytes_stay(channels: int, changes: int) -> None:
    text = f"g (float[5,48] x) => (float[5,{channels}] y) {{ y = MatMul(x, w) }}"
    made = read(text, {"w": normal(48, channels)}, opset=25)
    feeds = {"x": normal(5, 48)}
    assert run(made, "quantize/weights{type=uint2, block=16, symmetric=false}") == changes
    optimized = catalogue.backend("cpu{threads=1}")
    with optimized.open(made) as session:
        assert sqnr(EXACT(made, feeds), session.run(feeds)) > 30


@pytest.mark.parametrize("text", [ROWS, SEQUENCE], ids=["rows", "sequence"])
@pytest.mark.parametrize(
    "options", ["type=int4, block=32", "type=uint4, block=32, symmetric=false"]
)
def test_blocks_run_as_they_are_stored(text: str, options: str, tmp_path: Path) -> None:
    made = example(text)
    run(made, f"quantize/weights{{{options}}}")
    assert [operator for _, operator in ran(made, tmp_path)].count("MatMulNBits") == 2


@pytest.mark.parametrize(
    ("text", "opset"),
    [
        *[("type=int4", 20), ("block=32", 20), ("type=int2", 24), ("type=binary", 17), ("", 12)],
        *[("type=float8e5m2", 18), ("type=float4e2m1", 22), ("type=float8e4m3fn, block=8", 20)],
    ],
)
def test_an_operator_set_without_the_type_is_left_alone(text: str, opset: int) -> None:
    made = example(ROWS, opset)
    assert run(made, f"quantize/weights{{{text}}}") == 0


@pytest.mark.parametrize("name", ["quantize/dynamic", "quantize/weights"])
@pytest.mark.parametrize(
    ("options", "count"), [("skip=[y]", 1), ("only=[y]", 1), ("only=[Conv]", 0), ("skip=[Gemm]", 0)]
)
def test_patterns_choose(name: str, options: str, count: int) -> None:
    assert run(example(ROWS), f"{name}{{{options}}}") == count


def test_layers_with_one_weight_share_its_integers() -> None:
    text = SEQUENCE.replace("u)", "w)")
    for step in ("quantize/dynamic", "quantize/weights"):
        made = example(text)
        run(made, step)
        wide = [v for v in made.graph.initializers.values() if v.dtype == ir.DataType.INT8]
        assert len([v for v in wide if v.shape is not None and len(v.shape) == 2]) == 1
