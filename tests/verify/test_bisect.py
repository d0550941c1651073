"""A wrong rewrite among a thousand is named, in at most log2 replays, and left out alone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from onnxopt.errors import VerificationError
from onnxopt.io import load
from onnxopt.samples import Samples
from onnxopt.verify import Check, Mode, run_verified
from onnxopt.verify.repro import Repro
from tests.verify.planted import (
    Break,
    DropRelu,
    Raise,
    Secret,
    SubtractInstead,
    chain,
    evaluator,
    work,
)

PLACES = 300


@pytest.mark.parametrize(
    ("mode", "places", "place"),
    [
        (Mode.END, 1000, 617),
        (Mode.EACH, 200, 198),
        (Mode.END, 33, 0),
        (Mode.END, 33, 32),
        (Mode.EACH, 2, 0),
        (Mode.END, 1, 0),
    ],
)
def test_one_wrong_rewrite_is_named_and_left_out(mode: Mode, places: int, place: int) -> None:
    steps = work(chain(places), SubtractInstead(wrong=(f"v{place}",)))
    outcome = run_verified(steps, Check(mode=mode, evaluate=evaluator()))
    (fault,) = outcome.quarantined
    assert fault.site.value == f"v{place}"
    assert fault.replays <= math.ceil(math.log2(places)) + 1
    kinds = [node.op_type for node in outcome.model.graph]
    assert kinds.count("Sub") == places - 1
    assert [at for at, kind in enumerate(kinds) if kind == "Add"] == [place]
    assert not outcome.comparison.mismatches


def test_two_wrong_rewrites_in_two_passes_are_both_found() -> None:
    steps = work(chain(200), SubtractInstead(wrong=("v17",)), Break(at="none"), Raise(at="v150"))
    outcome = run_verified(steps, Check(evaluate=evaluator()))
    assert {fault.site.value for fault in outcome.quarantined} == {"v17", "v150"}
    assert sum(node.op_type == "Sub" for node in outcome.model.graph) == 199


def test_a_rewrite_that_no_runtime_takes_is_named() -> None:
    outcome = run_verified(work(chain(64), Break(at="v40")), Check(evaluate=evaluator()))
    assert [fault.site.value for fault in outcome.quarantined] == ["v40"]
    assert "does not run" in outcome.quarantined[0].why


def test_a_rewrite_that_the_checker_refuses_is_named_without_a_runtime() -> None:
    outcome = run_verified(work(chain(20), Break(at="v11")), Check(mode=Mode.EACH))
    assert [fault.site.value for fault in outcome.quarantined] == ["v11"]
    assert "NoSuchOperator" in outcome.quarantined[0].why


def test_a_rule_that_is_wrong_everywhere_goes_as_a_whole() -> None:
    wrong = tuple(f"v{at}" for at in range(100))
    outcome = run_verified(
        work(chain(100), SubtractInstead(wrong=wrong)), Check(evaluate=evaluator())
    )
    assert len(outcome.quarantined) == 3
    assert outcome.quarantined[-1].also == 97
    assert all(node.op_type == "Add" for node in outcome.model.graph)


def test_a_change_behind_the_gates_back_gives_the_original() -> None:
    original = chain(10)
    outcome = run_verified(work(original, Secret(), SubtractInstead()), Check(evaluate=evaluator()))
    assert outcome.gave_up is not None
    assert "without asking" in outcome.gave_up
    assert [node.op_type for node in outcome.model.graph] == ["Add"] * 10


def test_strict_stops_and_names_the_rewrite() -> None:
    steps = work(chain(100), SubtractInstead(wrong=("v60",)))
    with pytest.raises(VerificationError, match="v60"):
        run_verified(steps, Check(evaluate=evaluator(), strict=True))


def test_what_is_wrong_for_negative_numbers_only_is_found() -> None:
    import onnx_ir as ir

    from tests.verify.planted import model_of, tensor

    x = tensor("x", ["batch", 8])
    absolute = ir.node("Abs", [x], outputs=[tensor("a", ["batch", 8])])
    first = ir.node("Relu", absolute.outputs, outputs=[tensor("b", ["batch", 8])])
    second = ir.node("Relu", [x], outputs=[tensor("c", ["batch", 8])])
    total = ir.node("Add", [first.outputs[0], second.outputs[0]], outputs=[tensor("y", [8])])
    total.outputs[0].shape = x.shape
    model = model_of([x], [absolute, first, second, total], total.outputs)
    outcome = run_verified(work(model, DropRelu()), Check(evaluate=evaluator()))
    assert [fault.site.value for fault in outcome.quarantined] == ["c"]


@pytest.mark.parametrize("mode", [Mode.END, Mode.EACH])
def test_right_rewrites_stay(mode: Mode) -> None:
    steps = work(chain(PLACES), SubtractInstead())
    outcome = run_verified(steps, Check(mode=mode, evaluate=evaluator()))
    assert not outcome.quarantined
    assert outcome.unverified is None
    assert len(outcome.gate.applied) == PLACES
    assert len(outcome.checked) == 2


def test_the_failing_model_is_small_and_fails_again(tmp_path: Path) -> None:
    repro = Repro(folder=tmp_path / "out.repro", pipeline="planted")
    steps = work(chain(PLACES), SubtractInstead(wrong=("v211",)))
    outcome = run_verified(steps, Check(evaluate=evaluator(), repro=repro))
    (folder,) = outcome.repros
    before, after = load(folder / "before.onnx"), load(folder / "after.onnx")
    assert len(before.graph) <= 3
    (feeds,) = Samples.from_path(folder / "feeds.npz", before.graph.inputs)
    (name,) = (value.name or "" for value in before.graph.outputs)
    difference = evaluator()(before, feeds)[name] - evaluator()(after, feeds)[name]
    assert np.allclose(np.abs(difference), 1e-2, rtol=1e-3)
    assert "v211" in (folder / "README.txt").read_text()
