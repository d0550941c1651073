"""Equal weights are stored once."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import check, model_of, unchanged


def test_equal_weights_become_one() -> None:
    text = """(float[2] x) => (float[2] y)
        <float[2] a = {1, 2}, float[2] b = {1, 2}, float[2] c = {1, 3}> {
        d = Add(x, a) e = Mul(d, b) y = Sub(e, c) }"""
    model = check(text, "share-initializers", ["Add", "Mul", "Sub"])
    assert list(model.graph.initializers) == ["a", "c"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("float[2] w = {1, 2}", "double[2] v = {1, 2}"),
        ("float[2] w = {1, 2}", "float[1,2] v = {1, 2}"),
        ("int32[1] w = {0}", "float[1] v = {0}"),
        ("float[1] w = {0}", "float[1] v = {-0.0}"),
    ],
)
def test_weights_that_only_look_alike(one: str, other: str) -> None:
    text = f"""(float[2] x) => (float[2] y) <{one}, {other}> {{
        a = Cast<to=1>(w) b = Cast<to=1>(v) c = Add(x, a) y = Add(c, b) }}"""
    unchanged(text, "share-initializers")


def held(pairs: dict[str, np.ndarray]) -> ir.Model:
    """Return a graph that adds up weights."""
    model = model_of("(float[1] x) => (float[n] y) { y = Identity(x) }")
    total = model.graph.inputs[0]
    for name, array in pairs.items():
        weight = graph.constant(array, name)
        model.graph.register_initializer(weight)
        node = ir.node("Add", [total, weight])
        node.outputs[0].name = f"sum_{name}"
        model.graph.insert_before(model.graph[-1], node)
        total = node.outputs[0]
    model.graph[-1].replace_input_with(0, total)
    return model


@pytest.mark.parametrize("place", [0, 600, 99_999, 100_000, 199_999])
def test_large_weights_are_compared_to_the_last_bit(place: int) -> None:
    weight = np.arange(200_000, dtype=np.float32)
    other = weight.copy()
    other[place] = np.nextafter(other[place], np.float32(np.inf))
    model = held({"a": weight, "b": other, "c": weight.copy()})
    assert Pipeline.parse("share-initializers").run(model, Context()) == 1
    assert list(model.graph.initializers) == ["a", "b"]


def test_weights_that_are_not_a_number_are_equal_bit_by_bit() -> None:
    weight = np.full(4, np.nan, np.float32)
    model = held({"a": weight, "b": weight.copy()})
    assert Pipeline.parse("share-initializers").run(model, Context()) == 1


def test_defaults_outputs_and_text_stay() -> None:
    text = """(float[2] x, float[2] b) => (float[2] y, float[2] c)
        <float[2] a = {1, 2}, float[2] b = {1, 2}, float[2] c = {1, 2}> {
        d = Add(x, a) e = Mul(d, b) y = Sub(e, c) }"""
    unchanged(text, "share-initializers")


def test_readers_in_a_body_follow() -> None:
    text = """(float[2] x, bool c) => (float[2] y) <float[2] a = {1, 2}, float[2] b = {1, 2}> {
        h = Add(x, a)
        y = If(c) <
            then_branch = t () => (float[2] p) { p = Add(h, b) },
            else_branch = e () => (float[2] q) <float[2] k = {1, 2}, float[2] l = {1, 2}> {
                r = Mul(h, k) q = Sub(r, l) }> }"""
    model = check(text, "share-initializers", ["Add", "Add", "If", "Mul", "Sub"])
    assert [list(home.initializers) for home in graph.graphs(model)].count(["k"]) == 1
    assert list(model.graph.initializers) == ["a"]
