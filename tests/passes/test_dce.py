"""What nothing uses goes, and nothing else."""

from __future__ import annotations

from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import check, model_of, unchanged


def test_dead_chains_and_their_weights() -> None:
    text = """(float[2] x) => (float[2] y)
        <float[2] used = {1, 2}, float[2] unused = {3, 4}, float[2] late = {5, 6}> {
        a = Add(x, unused) b = Exp(a) c = Mul(b, late) y = Add(x, used) }"""
    model = check(text, "dce", ["Add"])
    assert list(model.graph.initializers) == ["used"]
    kept = model_of(text)
    Pipeline.parse("dce{keep-initializers=true}").run(kept, Context())
    assert set(kept.graph.initializers) == {"used", "unused", "late"}


def test_what_is_read_inside_of_a_body_stays() -> None:
    text = """(float[2] x, bool c) => (float[2] y) <float[2] w = {1, 2}> {
        h = Exp(x) dead = Sin(x)
        y = If(c) <then_branch = t () => (float[2] p) { a = Cos(h) p = Add(h, w) },
                   else_branch = e () => (float[2] q) <float[2] v = {1, 2}> { q = Neg(x) }> }"""
    model = check(text, "dce", ["Add", "Exp", "If", "Neg"])
    assert list(model.graph.initializers) == ["w"]


def test_dead_control_flow_frees_what_its_bodies_read() -> None:
    text = """(float[2] x, bool c) => (float[2] y) <float[2] w = {1, 2}> {
        h = Exp(x)
        dead = If(c) <then_branch = t () => (float[2] p) { p = Add(h, w) },
                      else_branch = e () => (float[2] q) { q = Neg(h) }>
        y = Sin(x) }"""
    model = check(text, "dce", ["Sin"])
    assert not model.graph.initializers


def test_inputs_defaults_and_outputs_stay() -> None:
    text = """(float[2] x, float[2] unread, float[2] default) => (float[2] y, float[2] w)
        <float[2] default = {1, 2}, float[2] w = {3, 4}> { y = Sin(x) }"""
    unchanged(text, "dce")


def test_functions_that_nobody_calls() -> None:
    text = """(float[2] x) => (float[2] y) { y = local.outer(x) }
        <domain: "local", opset_import: ["" : 18, "local" : 1]>
        outer (x) => (y) { dead = Sin(x) y = local.inner(x) }
        <domain: "local", opset_import: ["" : 18]> inner (x) => (y) { y = Exp(x) }
        <domain: "local", opset_import: ["" : 18, "local" : 1]>
        lonely (x) => (y) { y = local.friend(x) }
        <domain: "local", opset_import: ["" : 18]> friend (x) => (y) { y = Exp(x) }"""
    model = model_of(text)
    model.opset_imports["local"] = 1
    check(model, "dce", ["outer", "inner", "Exp"])
    assert {name for _, name, _ in model.functions} == {"outer", "inner"}


def test_a_function_called_in_a_body_only() -> None:
    text = """(float[2] x, bool c) => (float[2] y) {
        y = If(c) <then_branch = t () => (float[2] p) { p = local.f(x) },
                   else_branch = e () => (float[2] q) { q = Neg(x) }> }
        <domain: "local", opset_import: ["" : 18]> f (x) => (y) { y = Exp(x) }"""
    model = model_of(text)
    assert Pipeline.parse("dce").run(model, Context()) == 0
    assert len(model.functions) == 1
