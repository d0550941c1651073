"""What is the same is found to be, and what was planted is found and nothing else."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt import graph, shapes
from onnxopt.base import Context
from onnxopt.difference import difference, weight_change
from onnxopt.io import from_proto
from onnxopt.pipeline import Pipeline
from tests.contract.corpus import control
from tests.contract.graphs import graphs
from tests.difference.disguise import network, node_of, renamed, reordered
from tests.passes.tools import model_of

GRAPHS = graphs()


@pytest.mark.parametrize("name", GRAPHS)
def test_another_name_is_no_difference(name: str) -> None:
    model = from_proto(GRAPHS[name])
    found = difference(model, renamed(model))
    assert found.equal, str(found)
    assert difference(model, model.clone()).notes.renamed == 0


@given(st.integers(0, 2**16), st.integers(1, 6), st.booleans())
@settings(max_examples=25, deadline=None)
def test_another_order_is_no_difference(seed: int, depth: int, rename: bool) -> None:
    model = network(depth)
    other = reordered(renamed(model) if rename else model, seed)
    found = difference(model, other)
    assert found.equal, str(found)
    assert found.same == len(model.graph)


@given(st.integers(0, 5), st.sampled_from(["attribute", "weight", "removed", "added", "operator"]))
@settings(max_examples=40, deadline=None)
def test_what_was_planted_is_found_and_is_the_only_one(layer: int, kind: str) -> None:
    model = network(6)
    other = model.clone()
    _plant(other, layer, kind)
    for disguised in (other, renamed(other)):
        found = difference(model, disguised)
        assert len(found.hunks) == 1, str(found)
        hunk = found.hunks[0]
        sides = len(hunk.removed), len(hunk.added), len(hunk.changed)
        match kind:
            case "attribute":
                assert sides == (0, 0, 1)
                assert [str(c) for c in hunk.changed[0].changes] == ["attribute alpha: 0.2 -> 0.3"]
            case "weight":
                assert sides == (0, 0, 1)
                change = hunk.changed[0].changes[0]
                assert change.weight is not None
                assert change.weight.differing == 1
                assert change.weight.largest == pytest.approx(1.0)
            case "removed":
                assert sides == (1, 0, 0)
                assert hunk.title == "LeakyRelu removed"
            case "added":
                assert sides == (0, 1, 0)
                assert hunk.title == "Neg added"
            case _:
                assert sides == (1, 1, 0)
                assert hunk.title == "LeakyRelu -> Elu"


def _plant(model: ir.Model, layer: int, kind: str) -> None:
    node = node_of(model, f"active_{layer}")
    value = node.outputs[0]
    match kind:
        case "attribute":
            node.attributes["alpha"] = ir.AttrFloat32("alpha", 0.3)
        case "weight":
            held = model.graph.initializers[f"w_{layer}"]
            assert held.const_value is not None
            array = held.const_value.numpy().copy()
            array[1, 2] += 1
            held.const_value = ir.tensor(array, name=held.name)
        case "removed":
            source = node.inputs[0]
            assert source is not None
            value.replace_all_uses_with(source)
            model.graph.remove(node, safe=True)
        case "added":
            fresh = ir.node("Neg", [value])
            fresh.outputs[0].name = "fresh"
            for use in list(value.uses()):
                if use.node is not fresh:
                    use.node.replace_input_with(use.idx, fresh.outputs[0])
            model.graph.insert_after(node, fresh)
        case _:
            node.op_type = "Elu"
            node.attributes.clear()


def test_what_fused_into_what_is_one_hunk_and_said_once() -> None:
    w, b = (",".join(map(str, np.arange(n) / 7)) for n in (64, 8))
    model = model_of(
        f"""(float[4,8] x) => (float[4,8] y)
        <float[8,8] w = {{{w}}}, float[8] b = {{{b}}}, float[8,8] v = {{{w}}}, float[8] c = {{{b}}}>
        {{ p = MatMul(x, w) s = Add(p, b) r = Relu(s) q = MatMul(r, v) y = Add(q, c) }}"""
    )
    shapes.infer(model)
    other = model.clone()
    Pipeline.parse("fuse/matmul-add, dce").run(other, Context())
    found = difference(model, other)
    assert [hunk.title for hunk in found.hunks] == ["MatMul + Add -> Gemm"] * 2
    assert [hunk.place for hunk in found.hunks] == ["s", "y"]
    assert len(found.alike) == 1
    assert "@@ MatMul + Add -> Gemm at 's' (2 times)" in str(found)


def test_hunks_stand_in_the_order_of_the_graph() -> None:
    model = network(6)
    other = model.clone()
    for layer in (4, 0, 2):
        _plant(other, layer, "added" if layer == 2 else "operator")
    titles = [hunk.title for hunk in difference(model, other).hunks]
    assert titles == ["LeakyRelu -> Elu", "Neg added", "LeakyRelu -> Elu"]


def test_a_batch_norm_that_went_into_a_convolution_is_told_so() -> None:
    model = model_of(
        """(float[1,2,5,5] x) => (float[1,2,5,5] y)
        <float[2,2,1,1] w = {1, 2, 3, 4}, float[2] g = {2, 3}, float[2] b = {0, 1},
         float[2] m = {1, 1}, float[2] v = {1, 2}>
        { c = Conv(x, w) y = BatchNormalization(c, g, b, m, v) }"""
    )
    other = model.clone()
    Pipeline.parse("fuse/batchnorm-into-conv, dce").run(other, Context())
    (hunk,) = difference(model, other).hunks
    assert hunk.title == "Conv + BatchNormalization -> Conv"
    assert {change.kind for change in hunk.changed[0].changes} == {"weight", "input"}


def test_constants_may_be_stored_in_either_way() -> None:
    text = "(float[2] x) => (float[2] y) { c = Constant<value = float[2] {1, 2}>() y = Add(x, c) }"
    held = "(float[2] x) => (float[2] y) <float[2] k = {1, 2}> { y = Add(x, k) }"
    found = difference(model_of(text), model_of(held))
    assert found.equal
    assert found.notes.constants == (1, 0)


def test_an_attribute_that_states_the_default_is_no_difference() -> None:
    one = model_of("(float[2,3] x) => (float[2,3] y) { y = Softmax(x) }")
    other = model_of("(float[2,3] x) => (float[2,3] y) { y = Softmax<axis = -1>(x) }")
    assert difference(one, other).equal
    other = model_of("(float[2,3] x) => (float[2,3] y) { y = Softmax<axis = 0>(x) }")
    assert not difference(one, other).equal


def test_rewired_inputs_are_found() -> None:
    one = model_of("(float[3] x, float[3] z) => (float[3] y) { y = Sub(x, z) }")
    other = model_of("(float[3] x, float[3] z) => (float[3] y) { y = Sub(z, x) }")
    (hunk,) = difference(one, other).hunks
    assert [str(c) for c in hunk.changed[0].changes] == [
        "input 0: 'x' -> 'z'",
        "input 1: 'z' -> 'x'",
    ]


def test_the_head_is_compared() -> None:
    one = model_of("(float[3] x, float[n] z) => (float[n] y) { y = Add(x, z) }")
    other = one.clone()
    other.graph.inputs[0].name = "a"
    other.graph.inputs[1].shape = ir.Shape([3])
    other.opset_imports[""] = 19
    other.ir_version = 11
    other.metadata_props["made"] = "today"
    other.producer_name = "somebody"
    assert difference(one, other).head == (
        "input 'x' is called 'a'",
        "input 'z': float[n] -> float[3]",
        "operator set ai.onnx: 18 -> 19",
        "IR version: 10 -> 11",
        "producer name: added, somebody",
        "metadata 'made': added, today",
    )


def test_graphs_inside_and_functions_are_looked_into() -> None:
    text = """(bool c, float[2] x) => (float[2] y) {
        k = Relu(x)
        y = If(c) <then_branch = t () => (float[2] a) { a = %s(k) },
                   else_branch = e () => (float[2] b) { b = Exp(k) }> }"""
    one, other = model_of(text % "Sin"), renamed(model_of(text % "Cos"))
    (hunk,) = difference(one, other).hunks
    assert hunk.title == "Sin -> Cos"
    assert hunk.scope == "then_branch of If 'y'"
    one, other = (ir.from_proto(control.function()) for _ in range(2))
    assert difference(one, other).equal
    body = next(iter(other.functions.values()))
    body[0].attributes["extra"] = ir.AttrInt64("extra", 1)
    (hunk,) = difference(one, other).hunks
    assert hunk.scope.startswith("function '")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (np.ones(20, np.float32), np.ones(20, np.float16), "float[20] -> float16[20]"),
        (np.ones(20, np.float32), np.ones(21, np.float32), "float[20] -> float[21]"),
        (np.arange(3), np.arange(1, 4), "[0, 1, 2] -> [1, 2, 3]"),
        (np.full(20, np.nan, np.float32), np.full(20, np.nan, np.float32), None),
        (np.zeros(9, np.float32), -np.zeros(9, np.float32), "9 of 9 elements differ"),
    ],
)
def test_weights_are_compared_by_their_bytes(
    before: np.ndarray, after: np.ndarray, said: str | None
) -> None:
    change = weight_change(ir.tensor(before), ir.tensor(after))
    assert change is None if said is None else said in str(change)


@pytest.mark.parametrize("name", GRAPHS)
def test_what_passes_changed_is_all_told(name: str) -> None:
    model = from_proto(GRAPHS[name])
    shapes.infer(model)
    other = model.clone()
    Pipeline.parse("fold-constants, repeat(fuse, simplify, cse, dce)").run(other, Context())
    found = difference(model, other)
    mine = [hunk for hunk in found.hunks if not hunk.scope]
    come, gone = (sum(len(getattr(hunk, side)) for hunk in mine) for side in ("added", "removed"))
    assert _computing(other) - _computing(model) == come - gone
    assert json.loads(found.to_json())["equal"] is found.equal
    assert str(found)


def _computing(model: ir.Model) -> int:
    return sum(
        graph.tensor(node.outputs[0]) is None if len(node.outputs) == 1 else True
        for node in model.graph
    )


BRANCHES = """(bool c, float[4] x) => (float[4] y, float[4] z) {
  y, z = If (c) <
    then_branch = g () => (float[4] FIRST, float[4] SECOND) { u = Relu(x) v = Exp(x) },
    else_branch = h () => (float[4] p, float[4] q) { p = Relu(x) q = Abs(x) }
  >
}"""
ONE_WAY = BRANCHES.replace("FIRST", "u").replace("SECOND", "v")
THE_OTHER = BRANCHES.replace("FIRST", "v").replace("SECOND", "u")


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            "(float[4] x) => (float[4] a, float[4] b) { a = Relu(x) b = Sigmoid(x) }",
            "(float[4] x) => (float[4] a, float[4] b) { b = Relu(x) a = Sigmoid(x) }",
            "output 0 is 'a' of Sigmoid, and was 'a' of Relu",
        ),
        (
            "(float[4] x) => (float[4] y) { a = Relu(x) y = Sigmoid(a) }",
            "(float[4] x) => (float[4] y) { y = Relu(x) b = Sigmoid(y) }",
            "output 0 is 'y' of Relu, and was 'y' of Sigmoid",
        ),
        (
            ONE_WAY,
            THE_OTHER,
            "output 0 of then_branch of If 'y' is 'v' of Exp, and was 'u' of Relu",
        ),
        (
            "(float[2] x, float[2] w = {0.0, 0.0}) => (float[2] y) { y = Add(x, w) }",
            "(float[2] x, float[2] w = {1.0, 5.0}) => (float[2] y) { y = Add(x, w) }",
            "default of input 'w'",
        ),
    ],
)
def test_what_is_returned_and_what_is_taken_by_default_count(
    one: str, other: str, said: str
) -> None:
    found = difference(model_of(one), model_of(other))
    assert not found.equal
    assert said in str(found)
    json.loads(found.to_json(), parse_constant=lambda name: pytest.fail(name))


def test_json_knows_no_infinity() -> None:
    text = "(float[2] x) => (float[2] y) <float[2] w = {W}> { y = Add(x, w) }"
    one, other = (model_of(text.replace("W", w)) for w in ("0.0, 0.0", "1.0, 5.0"))
    told = difference(one, other).to_json()
    json.loads(told, parse_constant=lambda name: pytest.fail(name))
