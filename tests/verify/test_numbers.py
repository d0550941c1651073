"""Rounding passes, faults do not, and the difference is explained."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt.base import Context, Pass
from onnxopt.verify import Check, Tolerance, compare, run_verified
from onnxopt.verify.numbers import Comparison
from tests.verify.planted import chain, evaluator, model_of, replace, tensor, weight, work

TOLERANCE = Tolerance(eps=2.0**-23, depth=100)


def found(expected: np.ndarray, actual: np.ndarray, *moved: np.ndarray) -> Comparison:
    return compare({"y": expected}, {"y": actual}, TOLERANCE, tuple({"y": m} for m in moved))


def test_rounding_is_no_mismatch_and_is_measured() -> None:
    y = np.linspace(-1, 1, 1000, dtype=np.float32)
    result = found(y, y * np.float32(1 + 1e-6))
    assert not result.mismatches
    assert 1e-7 < result.relative < 2e-6


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01])
def test_one_wrong_element_is_a_mismatch(value: float) -> None:
    y = np.ones((4, 5), np.float32)
    wrong = y.copy()
    wrong[2, 3] = value
    assert found(y, wrong).mismatches


def test_small_columns_have_a_scale_of_their_own() -> None:
    y = np.ones((100, 3), np.float32) * np.array([400, 1, 0.5], np.float32)
    wrong = y.copy()
    wrong[7, 1] += 1e-3
    assert found(y, wrong).mismatches


def test_equal_nans_and_infinities_are_equal() -> None:
    y = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    assert not found(y, y.copy()).mismatches
    assert found(y, -y).mismatches


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([True]), np.array([False])),
        (np.array(["a"], dtype=object), np.array(["b"], dtype=object)),
        (np.ones(2, np.float32), np.ones(2, np.float64)),
        (np.ones(2, np.float32), np.ones((2, 1), np.float32)),
    ],
)
def test_what_is_no_number_must_be_equal(expected: np.ndarray, actual: np.ndarray) -> None:
    assert found(expected, actual).mismatches
    assert not found(expected, expected.copy()).mismatches


def test_what_rounding_moves_in_the_original_is_excused_and_said() -> None:
    y = np.ones(100, np.float32)
    result = found(y, y + np.float32(1e-3), y + np.float32(2e-4))
    assert not result.mismatches
    assert "rounding alone" in result.excused[0]
    assert found(y, y + np.float32(1e-2), y + np.float32(2e-4)).mismatches
    labels = np.arange(100)
    flipped, other = labels.copy(), labels.copy()
    flipped[3] = other[5] = 0
    assert not found(labels, flipped, other).mismatches
    assert found(labels, flipped, labels).mismatches


def test_sequences_and_maps_are_compared_by_element() -> None:
    one = {"y": [{"a": np.float32(1)}, {"a": np.float32(2)}]}
    two = {"y": [{"a": np.float32(1)}, {"a": np.float32(3)}]}
    assert not compare(one, one, TOLERANCE).mismatches  # type: ignore[arg-type]
    (mismatch,) = compare(one, two, TOLERANCE).mismatches  # type: ignore[arg-type]
    assert mismatch.output == "y[1]['a']"


def test_the_tolerance_follows_types_and_depth() -> None:
    shallow, deep = Tolerance.of(chain(4)), Tolerance.of(chain(400))
    assert (shallow.depth, deep.depth) == (4, 400)
    assert shallow.relative < deep.relative < 1e-4
    half = tensor("x", [2], "FLOAT16")
    out = tensor("y", [2], "FLOAT16")
    model = model_of([half], [ir.node("Relu", [half], outputs=[out])], [out])
    assert Tolerance.of(model).eps == 2.0**-10
    assert "sqrt(4)" in str(shallow)
    assert dataclasses.replace(shallow, depth=9).relative > shallow.relative


class Reassociate(Pass):
    """``(x + big) - big`` becomes ``x + (big - big)``: equal only as far as rounding goes."""

    def run(self, model: ir.Model, context: Context) -> int:
        count = 0
        for node in list(model.graph):
            if node.op_type == "Sub" and context.gate.permit("sum", node.outputs[0].name or ""):
                maker = node.inputs[0].producer() if node.inputs[0] is not None else None
                assert maker is not None
                replace(model, node, ir.node("Identity", [maker.inputs[0]]))
                count += 1
        return count


def test_an_ill_conditioned_model_is_judged_by_its_condition() -> None:
    x, a, b, y = (tensor(name, ["batch", 64]) for name in "xaby")
    big = weight("big", np.full(64, 1e4, np.float32))
    nodes = [
        ir.node("Add", [x, big], outputs=[a]),
        ir.node("Sub", [a, big], outputs=[b]),
        ir.node("Relu", [b], outputs=[y]),
    ]
    steps = work(model_of([x], nodes, [y]), Reassociate())
    outcome = run_verified(steps, Check(evaluate=evaluator()))
    assert not outcome.quarantined
    assert outcome.comparison.excused
