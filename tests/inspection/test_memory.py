"""Bytes alive, against sets of values written down step by step."""

from __future__ import annotations

import onnx_ir as ir
from hypothesis import given
from hypothesis import strategies as st

from onnxopt.inspection.memory import Memory, liveness
from onnxopt.shapes import analyse
from tests.shapes.models import parse


def memory(text: str) -> Memory:
    model = parse(text)
    return liveness(model.graph, analyse(model, {}).memo.engine, {})


def test_a_chain_of_elementwise_nodes_stays_in_one_place() -> None:
    found = memory("g (float[8] x) => (float[8] y) { a = Exp (x) b = Relu (a) y = Sin (b) }")
    assert [count for _, count in found.live] == [64, 32, 32]
    assert (found.peak, found.separate_peak) == (64, 64)


def test_what_is_needed_later_is_not_overwritten() -> None:
    text = "g (float[8] x) => (float[8] y) { a = Exp (x) b = Relu (a) c = Sin (b) y = Add (c, a) }"
    found = memory(text)
    assert [count for _, count in found.live] == [64, 64, 64, 64]
    assert found.separate_peak == 96


def test_a_view_is_no_copy() -> None:
    text = """g (float[2,4] x) => (float[8] y) {
      s = Constant <value = int64[1] {8}> () a = Exp (x) b = Reshape (a, s) y = Relu (b) }"""
    assert memory(text).peak == 64


def test_a_smaller_input_cannot_be_overwritten() -> None:
    text = "g (float[8] x, float[4,8] z) => (float[4,8] y) { a = Exp (x) y = Add (a, z) }"
    assert memory(text).peak == 32 + 128 + 128
    text = "g (float[8] x, float[4,8] z) => (float[4,8] y) { a = Exp (z) y = Add (x, a) }"
    assert memory(text).peak == 32 + 128 + 128


def test_outputs_live_to_the_end() -> None:
    text = "g (float[8] x) => (float[8] a, float[8] c) { a = Exp (x) b = Sin (a) c = Cos (b) }"
    assert [count for _, count in memory(text).live] == [64, 64, 64]


def test_a_branch_counts_what_it_holds_and_keeps_alive_what_it_reads() -> None:
    text = """g (float[8] x, bool c) => (float[8] y) {
      a = Exp (x)
      y = If (c) <
        then_branch = t () => (float[8] p) { m = Concat <axis = 0> (a, a) n = Tanh (m)
          k = Constant <value = int64[1] {8}> () p, q = Split (n) },
        else_branch = e () => (float[8] r) { r = Neg (a) }
      > }"""
    found = memory(text)
    assert found.at == "y"
    assert found.peak == 1 + 32 + 64 + 64  # the condition, a, n, both halves


def test_what_has_no_size_is_told() -> None:
    found = memory("g (float[8] x) => (int64 y) { i = NonZero (x) y = Neg (i) }")
    assert found.unknown > 0


def test_no_nodes() -> None:
    assert memory("g (float[8] x) => (float[8] x) { }").peak == 0


def by_sets(model: ir.Model, sizes: dict[str, int]) -> int:
    """Return the peak where no bytes are shared, by looking at all values after every node."""
    nodes = list(model.graph)
    reads = [{value.name for value in node.inputs if value is not None} for node in nodes]
    kept = {value.name for value in model.graph.outputs}
    peak = 0
    for at in range(len(nodes)):
        made = {value.name for node in nodes[: at + 1] for value in node.outputs} | {"x"}
        needed = set(kept).union(*reads[at:])
        own = {value.name for value in nodes[at].outputs}
        peak = max(peak, sum(sizes[name] for name in made & (needed | own) if name is not None))
    return peak


@given(st.data(), st.integers(1, 8))
def test_any_graph(data: st.DataObject, count: int) -> None:
    names, lines = ["x"], []
    sizes = {"x": 4 * 4}
    for at in range(count):
        source = data.draw(st.sampled_from(names))
        other = data.draw(st.sampled_from(names))
        name = f"v{at}"
        call = data.draw(st.sampled_from(["Concat <axis = 0> ({}, {})", "Exp ({})"]))
        lines.append(f"{name} = {call.format(source, other)}")
        sizes[name] = sizes[source] + (sizes[other] if "Concat" in call else 0)
        names.append(name)
    text = f"g (float[4] x) => (float {names[-1]}) {{ {' '.join(lines)} }}"
    found, expected = memory(text), by_sets(parse(text), sizes)
    assert found.separate_peak == expected
    assert found.peak <= expected
