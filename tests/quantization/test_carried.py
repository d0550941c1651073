"""Outputs that callers feed back: which they are, and that errors are seen to add up in them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from onnxopt import catalogue, io
from onnxopt.quantizer.carried import carried
from onnxopt.quantizer.guard import STEPS, Guard
from onnxopt.target import Session
from tests.contract.corpus.build import model


def leaky(gain: float, names: tuple[str, str] = ("state", "stateN")) -> ir.Model:
    """Return a model whose state grows by its input and leaks."""
    before, after = names
    nodes = [
        helper.make_node("Mul", [before, "gain"], ["kept"]),
        helper.make_node("Add", ["kept", "x"], [after]),
        helper.make_node("Identity", [after], ["y"]),
    ]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])
        for name in (before, "x", after, "y")
    }
    weights = [helper.make_tensor("gain", TensorProto.FLOAT, [1], [gain])]
    ends = [values[before], values["x"]], [values["y"], values[after]]
    graph = helper.make_graph(nodes, "leaky", *ends, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return ir.from_proto(made)


def opened(made: ir.Model) -> Session:
    return catalogue.backend("cpu{threads=1}").open(made)


@pytest.mark.parametrize(
    "names",
    [
        ("state", "stateN"),
        ("h0", "hn"),
        ("c_in", "c_out"),
        ("memory", "new_memory"),
        ("s", "s.1"),
        ("h1", "h1_out"),
        ("hidden_in", "hidden_out"),
    ],
)
def test_what_is_fed_back_is_known_by_its_name(names: tuple[str, str]) -> None:
    assert carried(leaky(0.9, names)) == {names[1]: names[0]}


@pytest.mark.parametrize(
    "names",
    [
        ("input", "output"),
        ("in_0", "out_0"),
        ("hidden_states", "hidden_states_out"),
        ("context", "context_out"),
        ("h_1", "h_3"),
        ("image", "mask"),
        ("audio", "audio_out"),
        ("x.1", "x.77"),
        ("logits0", "logits"),
    ],
)
def test_what_only_looks_alike_is_not(names: tuple[str, str]) -> None:
    assert carried(leaky(0.9, names)) == {}


def test_numbers_tell_states_apart() -> None:
    text = """g (float[4] h1, float[4] h2, float[4] x) => (float[4] h2_out, float[4] h1_out) {
        h1_out = Add(h1, x) h2_out = Add(h2, x) }"""
    made = io.from_proto(model(text, {}, opset=20))
    assert carried(made) == {"h1_out": "h1", "h2_out": "h2"}


def test_what_has_no_other_input_is_not_fed_back() -> None:
    text = "g (float[4] state) => (float[4] state_out) { state_out = Relu(state) }"
    assert carried(io.from_proto(model(text, {}, opset=20))) == {}


def test_errors_add_up_in_what_is_fed_back() -> None:
    exact, other = leaky(0.9), leaky(0.9 * 1.01)
    feeds = [{"state": np.ones(4, np.float32), "x": np.ones(4, np.float32)}]
    with opened(exact) as session, opened(other) as near:
        once = Guard(session, feeds).loss(near)
        often = Guard(session, feeds, carried(exact)).loss(near)
    assert once.sqnr_db > often.sqnr_db + 6
    states = {0.9: np.ones(4), 0.909: np.ones(4)}
    signal = noise = 0.0
    for _ in range(STEPS):
        states = {gain: gain * state + 1 for gain, state in states.items()}
        exact_state, near_state = states.values()
        signal += float(np.square(exact_state).sum())
        noise += float(np.square(exact_state - near_state).sum())
    assert often.sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=0.05)


def test_a_cache_that_grows_is_not_fed_back() -> None:
    text = """g (float[p,2] past_cache, float[1,2] x, float[t] mask) => (float[q,2] present_cache) {
        y = Relu(x) present_cache = Concat <axis = 0> (past_cache, y) }"""
    made = io.from_proto(model(text, {}, opset=20))
    assert carried(made) == {"present_cache": "past_cache"}
    sizes = {"past_cache": (3, 2), "x": (1, 2), "mask": (4,)}
    feeds = [{name: np.ones(size, np.float32) for name, size in sizes.items()}]
    with opened(made) as session:
        assert Guard(session, feeds, carried(made)).loss(session).sqnr_db == np.inf
        assert Guard(session, feeds, carried(made)).carried == {}
