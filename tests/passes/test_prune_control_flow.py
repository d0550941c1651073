"""Inputs and outputs of If, Loop and Scan that nothing needs."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import check, model_of, unchanged

GO = "on = Identity(go)"


def only(model: ir.Model, op_type: str) -> ir.Node:
    """Return the one node of an operator."""
    (found,) = (n for home in graph.graphs(model) for n in home if n.op_type == op_type)
    return found


def test_outputs_of_an_if_that_nothing_reads() -> None:
    text = """(float[n] x, bool c) => (float[n] y) {
        unread, y, dead = If(c) <
            then_branch = t () => (float[n] p1, float[n] p2, float[n] p3) {
                p1 = Sin(x) p2 = Exp(x) p3 = Cos(p1) },
            else_branch = e () => (float[n] q1, float[n] q2, float[n] q3) {
                q1 = Tan(x) q2 = Neg(q1) q3 = Abs(x) }> }"""
    model = check(text, "prune-control-flow", ["Exp", "If", "Neg", "Tan"])
    assert [value.name for value in only(model, "If").outputs] == ["y"]


def test_an_if_of_which_nothing_is_read_is_dead_code() -> None:
    text = """(float[n] x, bool c) => (float[n] y) {
        u = If(c) <then_branch = t () => (float[n] p) { p = Sin(x) },
                   else_branch = e () => (float[n] q) { q = Tan(x) }> y = Exp(x) }"""
    unchanged(text, "prune-control-flow")
    check(text, "prune-control-flow", ["Exp"])


def loop(outputs: str, body: str, *, then: str = "", given: str = "", trips: int = 3) -> str:
    """Return a Loop with states ``s`` and ``r``, and one scan output."""
    return f"""(float[3] x, float[3] v{given}) => (float[3] y) <float[3] w = {{1, 2, 3}}> {{
        m = Constant<value = int64 {{{trips}}}>()
        {outputs} = Loop(m, , x, v) <
            body = b (int64 i, bool go, float[3] s, float[3] r)
                => (bool on, float[3] s2, float[3] r2, float[3] seen) {{ {GO} {body} }}>
        {then} }}"""


@pytest.mark.parametrize("trips", [0, 3])
@pytest.mark.parametrize("passes_on", ["r2 = Identity(r)", "r1 = Identity(r) r2 = Identity(r1)"])
def test_state_that_never_changes_is_read_from_outside(trips: int, passes_on: str) -> None:
    body = f"s2 = Add(s, r) {passes_on} seen = Exp(s)"
    text = loop("a, b, c", body, then="y = Mul(a, b)", trips=trips)
    model = check(text, "prune-control-flow", ["Add", "Identity", "Loop", "Mul"])
    node = only(model, "Loop")
    assert len(node.inputs) == 3
    assert len(node.outputs) == 1
    assert only(model, "Add").inputs[1] is model.graph.inputs[1]


def test_state_that_nobody_reads_goes() -> None:
    body = "s2 = Exp(s) r2 = Neg(s) seen = Sin(s)"
    model = check(loop("y, b, c", body), "prune-control-flow", ["Exp", "Identity", "Loop"])
    assert [value.name for value in only(model, "Loop").outputs] == ["y"]


def test_state_that_the_body_reads_stays() -> None:
    body = "s2 = Add(s, r) r2 = Neg(r) seen = Sin(s)"
    ops = ["Add", "Identity", "Loop", "Neg"]
    check(loop("y, b, c", body), "prune-control-flow", ops)


def test_the_last_output_stays() -> None:
    text = """(float[3] x) => (float[3] y) {
        m = Constant<value = int64 {3}>() u = Loop(m, , x) <
            body = b (int64 i, bool go, float[3] s) => (bool on, float[3] t) {
                on = Identity(go) t = Exp(x) }> y = Neg(x) }"""
    unchanged(text, "prune-control-flow")


def test_unchanged_state_that_the_graph_returns_stays() -> None:
    text = """(float[3] x) => (float[3] y, float[3] z) {
        m = Constant<value = int64 {3}>() y, z = Loop(m, , x, x) <
            body = b (int64 i, bool go, float[3] s, float[3] r)
                => (bool on, float[3] t, float[3] r2) {
                on = Identity(go) t = Add(s, r) r2 = Identity(r) }> }"""
    model = check(text, "prune-control-flow", ["Add", "Identity", "Identity", "Loop"])
    assert [value.name for value in model.graph.outputs] == ["y", "z"]


def test_unchanged_state_that_is_also_scanned_out() -> None:
    body = "s2 = Add(s, r) r2 = Identity(r) seen = Identity(r)"
    text = loop("a, b, c", body, then="d = ReduceSum<keepdims=0>(c, z) y = Add(d, b)")
    text = text.replace("m = Const", "z = Constant<value_ints=[0]>() m = Const")
    check(text, "prune-control-flow", ["Add", "Add", "Identity", "Identity", "Loop", "ReduceSum"])


def test_unchanged_state_that_the_body_hands_on_at_two_places_stays() -> None:
    model = model_of(loop("y, b, c", "s2 = Add(s, r) r2 = Neg(r) seen = Neg(r)"))
    (body,) = graph.subgraphs(only(model, "Loop"))
    body.outputs[2] = body.outputs[3] = body.inputs[3]
    model.graph.outputs.append(only(model, "Loop").outputs[2])
    assert Pipeline.parse("prune-control-flow").run(model, Context()) == 0


SCAN = """(float[t,3] x, float[3] v) => ({outputs}) {{
    {results} = Scan <num_scan_inputs=1{attributes},
        body = b (float[3] s, float[3] row) => (float[3] s2, float[3] o1, float[3] o2) {{
            s2 = Add(s, row) o1 = Exp(s2) o2 = Neg(row) }}>(v, x) }}"""


def test_outputs_of_a_scan_that_nothing_reads() -> None:
    text = SCAN.format(
        outputs="float[3] a, float[t,3] y",
        results="a, b, y",
        attributes=", scan_output_directions=[0, 1], scan_output_axes=[0, 0]",
    )
    model = check(text, "prune-control-flow", ["Add", "Neg", "Scan"])
    node = only(model, "Scan")
    assert [value.name for value in node.outputs] == ["a", "y"]
    assert graph.attr_ints(node, "scan_output_directions") == (1,)
    assert graph.attr_ints(node, "scan_output_axes") == (0,)


@pytest.mark.parametrize("opset", [9, 11, 18])
def test_state_of_a_scan_that_never_changes(opset: int) -> None:
    text = """(float[t,3] x, float[3] v, float[3] k) => (float[t,3] y, float[3] z) {
        a, b, o, y = Scan <num_scan_inputs=1, scan_output_directions=[1, 0],
            body = n (float[3] s, float[3] r, float[3] row)
                => (float[3] s2, float[3] r2, float[3] o1, float[3] o2) {
                s2 = Add(s, row) r2 = Identity(r) o1 = Exp(s2) o2 = Mul(row, r) }>(v, k, x)
        z = Sub(a, b) }"""
    model = check(text, "prune-control-flow", ["Add", "Mul", "Scan", "Sub"], opset=opset)
    node = only(model, "Scan")
    assert [value and value.name for value in node.inputs] == ["v", "x"]
    assert [value.name for value in node.outputs] == ["a", "y"]
    assert graph.attr_ints(node, "scan_output_directions") == (0,)


def test_scans_of_version_8_stay() -> None:
    text = """(float[1,t,3] x, float[1,3] v) => (float[1,3] a) {
        a, y = Scan <num_scan_inputs=1, body = b (float[3] s, float[3] row)
            => (float[3] s2, float[3] o1) { s2 = Add(s, row) o1 = Exp(s2) }>(, v, x) }"""
    unchanged(text, "prune-control-flow", opset=8)


def test_a_final_state_that_nothing_reads_stays() -> None:
    text = SCAN.format(outputs="float[t,3] y", results="a, y, b", attributes="")
    model = check(text, "prune-control-flow", ["Add", "Exp", "Scan"])
    assert len(only(model, "Scan").outputs) == 2


def test_what_a_body_no_longer_computes_frees_more_outside() -> None:
    text = """(float[n] x, bool c) => (float[n] y) {
        h = Sin(x)
        y, dead = If(c) <
            then_branch = t () => (float[n] p1, float[n] p2) {
                p1 = Exp(x)
                p2, unread = If(c) <
                    then_branch = tt () => (float[n] u1, float[n] u2) { u1 = Cos(h) u2 = Abs(h) },
                    else_branch = te () => (float[n] v1, float[n] v2) { v1 = Tan(h) v2 = Abs(x) }>
            },
            else_branch = e () => (float[n] q1, float[n] q2) { q1 = Neg(x) q2 = Sqrt(h) }> }"""
    check(text, "prune-control-flow", ["Exp", "If", "Neg"])


def test_control_flow_in_a_function() -> None:
    text = """(float[n] x, bool c) => (float[n] y) { y = local.f(x, c) }
        <domain: "local", opset_import: ["" : 18]> f (x, c) => (y) {
            y, dead = If(c) <
                then_branch = t () => (float[n] p1, float[n] p2) { p1 = Exp(x) p2 = Sin(x) },
                else_branch = e () => (float[n] q1, float[n] q2) { q1 = Neg(x) q2 = Cos(x) }> }"""
    model = model_of(text)
    model.opset_imports["local"] = 1
    check(model, "prune-control-flow", ["Exp", "If", "Neg", "f"])
