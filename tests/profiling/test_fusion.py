"""What became of what, against the graphs that ONNX Runtime writes."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxopt.backends.cpu import Cpu
from onnxopt.errors import BackendError, ModelError
from onnxopt.io import from_proto, load, save
from onnxopt.profiling import executed
from onnxopt.profiling.fusion import Origins, origins
from onnxopt.profiling.regions import Step, producers, region, steps
from onnxopt.target import EXECUTED
from tests.passes.tools import model_of
from tests.profiling.models import with_weights

GELU = """(float[2,8] x) => (float[2,8] y) {
    m = MatMul(x, w) a = Add(m, b) r = Constant<value = float {1.41421356}>()
    o = Constant<value = float {1.0}>() h = Constant<value = float {0.5}>()
    d = Div(a, r) e = Erf(d) p = Add(e, o) q = Mul(a, p) y = Mul(q, h) }"""
CONV = """(float[1,3,8,8] x) => (float[1,4,6,6] y) { c = Conv(x, k) y = LeakyRelu(c) }"""


class Ran(NamedTuple):
    """A model, the graph that runs, and what became of what."""

    origins: Origins
    executed: list[Step]
    model: list[Step]


def ran(model: ir.Model, folder: Path) -> Ran:
    """Let ONNX Runtime optimize a model, and read the graph that it writes."""
    path = folder / "model.onnx"
    save(model, path)
    Cpu(threads=1).recording(folder).open(path).close()
    before, after = steps(load(path)), steps(load(folder / EXECUTED))
    return Ran(origins(before, after), after, before)


def became(found: Ran) -> dict[str, tuple[str, ...]]:
    """Return what each operator that runs stands for, changes of layout apart."""
    parts = found.origins.of
    return {s.op_type: tuple(p.op_type for p in parts[s]) for s in found.executed if parts[s]}


def test_an_activation_in_a_convolution(tmp_path: Path) -> None:
    model = with_weights(CONV, {"k": (4, 3, 3, 3)})
    found = ran(model, tmp_path)
    assert list(became(found).values()) == [("Conv", "LeakyRelu")]
    assert found.origins.folded == found.origins.removed == ()


def test_a_product_with_bias_and_gelu(tmp_path: Path) -> None:
    found = ran(with_weights(GELU, {"w": (8, 8), "b": (8,)}), tmp_path)
    parts = became(found)
    everything = [part for each in parts.values() for part in each]
    assert collections.Counter(everything) == collections.Counter(
        ["MatMul", "Add", "Div", "Erf", "Add", "Mul", "Mul"]
    )
    fused = next(each for name, each in parts.items() if "Gelu" in name)
    assert {"Div", "Erf", "Mul"} <= set(fused)


def test_names_of_nodes_do_not_matter(tmp_path: Path) -> None:
    model = with_weights(CONV, {"k": (4, 3, 3, 3)})
    for number, node in enumerate(model.graph):
        node.name = f"renamed_{number}"
    found = ran(model, tmp_path)
    assert list(became(found).values()) == [("Conv", "LeakyRelu")]


def test_constants_are_folded_and_not_attributed(tmp_path: Path) -> None:
    text = """(float[n,4] x) => (float[n,4] y) {
        w = Constant<value = float[4] {1, 2, 3, 4}>() v = Exp(w) y = Mul(x, v) }"""
    found = ran(model_of(text), tmp_path)
    assert became(found) == {"Mul": ("Mul",)}
    assert sorted(step.op_type for step in found.origins.folded) == ["Constant", "Exp"]


def test_what_does_nothing_goes_to_who_computes_the_value(tmp_path: Path) -> None:
    found = ran(model_of("(float[2] x) => (float[2] y) { a = Abs(x) y = Identity(a) }"), tmp_path)
    assert became(found) == {"Abs": ("Abs", "Identity")}


BLOCK = """(float[1,16,8,8] x) => (float[1,16,8,8] y) {
    a = Conv<pads=[1,1,1,1]>(x, k) r = Relu(a) b = Conv<pads=[1,1,1,1]>(r, l) s = Add(b, r)
    t = Relu(s) y = Conv<pads=[1,1,1,1]>(t, m) }"""


def test_layouts_of_the_runtimes_own(tmp_path: Path) -> None:
    found = ran(with_weights(BLOCK, dict.fromkeys("klm", (16, 16, 3, 3))), tmp_path)
    parts = found.origins.of
    if not any("nchwc" in step.domain for step in found.executed):
        pytest.skip("this processor has no blocked layout")
    convolutions = [parts[step] for step in found.executed if step.op_type == "Conv"]
    assert [[part.op_type for part in each] for each in convolutions] == [
        ["Conv", "Relu"],
        ["Conv", "Add", "Relu"],
        ["Conv"],
    ]
    layouts = [step for step in found.executed if step.op_type.startswith("Reorder")]
    assert layouts
    assert all(parts[step] == () for step in layouts)


def test_every_node_is_accounted_for(corpus: dict[str, onnx.ModelProto], tmp_path: Path) -> None:
    tried = 0
    for name, proto in list(corpus.items())[::5]:
        folder = tmp_path / name
        folder.mkdir()
        try:
            found = ran(from_proto(proto), folder)
        except (BackendError, ModelError):
            continue
        tried += 1
        attributed = {part for parts in found.origins.of.values() for part in parts}
        gone = {*found.origins.folded, *found.origins.removed}
        assert attributed | gone == set(found.model), name
        assert not attributed & gone, name
    assert tried > 5


def test_a_region_ends_at_the_values_that_both_have() -> None:
    text = "(float[2] x) => (float[2] y) { a = Abs(x) b = Neg(a) c = Exp(b) y = Add(c, a) }"
    made = producers(steps(model_of(text)))
    assert [step.op_type for step in region("y", made, {"a"})] == ["Neg", "Exp", "Add"]
    assert [step.op_type for step in region("y", made, {"a", "c"})] == ["Add"]
    assert region("x", made, set()) == []


def test_the_nodes_that_ran_are_those_of_the_graph_it_wrote(tmp_path: Path) -> None:
    model = with_weights(GELU, {"w": (8, 8), "b": (8,)})
    feeds = [{"x": np.ones((2, 8), np.float32)}]
    found = executed(model, Cpu(threads=1), feeds)
    path = tmp_path / "optimized.onnx"
    Cpu(threads=1, save_optimized=path).open(model).close()
    written = [(node.op_type, node.domain) for node in onnx.load(path).graph.node]
    assert [(each.op_type, each.domain) for each in found] == written
    assert {each.provider for each in found} == {"CPUExecutionProvider"}
    assert all(each.seconds > 0 for each in found)


def test_integer_kernels_show() -> None:
    text = """(float[2,8] x) => (float[2,4] y) {
        s = Constant<value = float {0.1}>() z = Constant<value = uint8 {128}>()
        u = Constant<value = float {0.02}>() t = Constant<value = int8 {0}>()
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
        e = DequantizeLinear(w, u, t) y = MatMul(d, e) }"""
    model = with_weights(text, {"w": (8, 4)}, np.int8)
    found = executed(model, Cpu(threads=1), [{"x": np.ones((2, 8), np.float32)}])
    assert [each.op_type for each in found] == ["QuantizeLinear", "MatMulIntegerToFloat"]
    assert found[1].domain == "com.microsoft"


def test_many_paths_through_unknown_operators_take_no_time() -> None:
    """Sixty blocks in a row have 2**60 paths to their end."""
    before = steps(model_of("(float[4] x) => (float[4] y) { y = Relu(x) }"))
    blocks = " ".join(f"b{i} = Abs(a{i}) a{i + 1} = Mul(a{i}, b{i})" for i in range(60))
    text = f"(float[4] x) => (float[4] z) {{ a0 = Relu(x) {blocks} z = Neg(a60) }}"
    first, *rest = steps(model_of(text))
    after = [dataclasses.replace(first, name="y"), *rest]
    assert origins(before, after).values[after[0]] == ("y",)
