"""Slices that part an axis become a Split, and no others."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from tests.passes.tools import check, model_of, unchanged

BOUNDS = " ".join(
    f"{name} = Constant<value=int64[1] {{{number}}}>()"
    for name, number in (
        ("zero", 0),
        ("two", 2),
        ("five", 5),
        ("end", 9223372036854775807),
        ("axis", -1),
        ("back", -1),
        ("first", 0),
    )
)


def parts(body: str, outputs: str = "a, b") -> str:
    return f"(float[N,6] x) => ({outputs}) {{ {BOUNDS} {body} }}"


TYPED = "float[N,A] a, float[N,B] b"


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_halves(opset: int) -> None:
    body = "p = Slice(x, zero, two, axis) q = Slice(x, two, end, axis) a = Sin(p) b = Sin(q)"
    text = parts(body, TYPED)
    check(text, "split-slices", ["Sin", "Sin", "Split"], opset=opset)


def test_outputs_keep_their_names() -> None:
    body = """
        q = Slice(x, two, five, axis) b = Slice(x, zero, two, axis) a = Slice(x, five, end, axis)
        c = Slice(x, two, five, axis) d = Add(q, c)"""
    text = parts(body, f"{TYPED}, float[N,C] c, float[N,C] d")
    check(text, "split-slices", ["Add", "Split"])


@pytest.mark.parametrize(
    "body",
    [
        "a = Slice(x, zero, two, axis) b = Slice(x, five, end, axis)",
        "a = Slice(x, zero, five, axis) b = Slice(x, two, end, axis)",
        "a = Slice(x, zero, two, first) b = Slice(x, two, end, first)",
        "a = Slice(x, zero, two, axis) b = Slice(x, two, end, first)",
        "a = Slice(x, zero, end, axis) b = Slice(x, zero, two, axis)",
        "a = Slice(x, zero, five, axis) b = Slice(x, back, two, axis, back)",
    ],
)
def test_other_slices_stay(body: str) -> None:
    unchanged(parts(body), "split-slices")


def test_a_second_run_changes_nothing() -> None:
    model: ir.Model = model_of(
        parts(
            """a = Slice(x, zero, two, axis) b = Slice(x, two, end, axis)
        c = Slice(x, zero, five, axis) d = Slice(x, five, end, axis)""",
            "a, b, c, d",
        )
    )
    assert Pipeline.parse("infer-shapes, split-slices").run(model, Context()) >= 2
    assert Pipeline.parse("split-slices").run(model, Context()) == 0


def test_parts_of_parts() -> None:
    body = """p = Slice(x, zero, two, axis) q = Slice(x, two, end, axis)
        r = Slice(q, zero, two, axis) s = Slice(q, two, end, axis) a = Add(p, r) b = Sin(s)"""
    check(parts(body, TYPED), "split-slices", ["Split", "Split", "Add", "Sin"])
