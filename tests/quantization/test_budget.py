"""A budget on a metric: kept to, searched best first, at any time, and resumed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx_ir as ir
import pytest

from onnxopt import quantizer
from onnxopt.errors import ModelError, UsageError
from onnxopt.quantizer import Budget, QuantizeReport, budget_of
from onnxopt.quantizer.judge import Judge
from onnxopt.quantizer.memory import Memory, digest
from onnxopt.quantizer.search import Search
from onnxopt.samples import Samples
from tests.contract.corpus.build import model
from tests.quantization.test_quantizer import DEAF, LOUD, RUINED, loud
from tests.quantization.test_static import FILTER
from tests.quantization.tools import EXACT

DROP = 0.1
"""Of the agreement; whole, it falls by far more."""

NET = model(RUINED, {**FILTER, "u": DEAF})


def run(
    drop: float, state: Path | None = None, kept: list[ir.Model] | None = None
) -> tuple[ir.Model, QuantizeReport]:
    request = quantizer.Request(
        samples=LOUD,
        scheme="int8",
        measure=False,
        accuracy=Budget(drop=drop),
        state=state,
        keep=(kept if kept is not None else []).append,
    )
    return quantizer.run(_given(), request)


def _given() -> ir.Model:
    return ir.serde.deserialize_model(NET)


def test_the_budget_is_kept_by_leaving_the_damaging_layer_in_float() -> None:
    kept: list[ir.Model] = []
    result, report = run(DROP, kept=kept)
    row = report.tried[0]
    assert row.metric == "agreement"
    assert row.drop is not None
    assert row.drop <= DROP
    assert report.chosen == "int8"
    assert row.layers == 2
    assert [each.layer for each in row.sensitivity if not each.integer] == ["c"]
    assert row.sensitivity[0].layer == "c"
    before, after = (EXACT(made, loud(99))["y"].argmax(1) for made in (_given(), result))
    assert (before != after).mean() <= 2 * DROP
    assert kept


def test_what_is_within_the_budget_stays_whole() -> None:
    _, report = run(1.0)
    assert report.tried[0].layers == 3
    assert not report.tried[0].sensitivity


def test_other_samples_are_scored_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "y.onnx.search"
    run(DROP, state)
    scored: list[ir.Model] = []
    change = Judge.change

    def counted(judge: Judge, made: ir.Model) -> object:
        scored.append(made)
        return change(judge, made)

    monkeypatch.setattr(Judge, "change", counted)
    run(DROP, state)
    assert not scored
    monkeypatch.setattr(sys.modules[__name__], "LOUD", Samples.of([loud(at) for at in range(16)]))
    run(DROP, state)
    assert scored


def test_a_search_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "y.onnx.search"
    first, _ = run(DROP, state)
    held = json.loads((tmp_path / "y.onnx.search.int8").read_text())
    assert held["noise"].keys() == {"c", "a", "y"}
    monkeypatch.setattr(Judge, "change", None)
    again, report = run(DROP, state)
    assert ir.to_proto(again).graph.initializer == ir.to_proto(first).graph.initializer
    assert report.chosen == "int8"


def test_an_interruption_takes_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    change = Judge.change

    def once_too_often(self: Judge, made: ir.Model) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return change(self, made)

    monkeypatch.setattr(Judge, "change", once_too_often)
    _, report = run(DROP)
    assert report.tried[0].interrupted
    assert report.chosen == "float"
    assert "keeps agreement within" in (report.tried[0].refused or "")


def test_the_least_noisy_choice_comes_first_and_nothing_twice() -> None:
    noise = {"a": 1.0, "b": 0.1, "c": 0.01}
    asked: list[list[str]] = []

    def score(out: list[str]) -> float:
        asked.append(out)
        return 0.0 if "a" in out else 1.0

    memory = Memory()
    assert Search(noise, 1.11, None, 0.5, memory).run(score) == ["a"]
    assert len({json.dumps(out) for out in asked}) == len(asked)
    assert memory.best(0.5) == ["a"]


def test_another_model_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "search"
    Memory.at(path, "one").dropped(["a"], 0.1)
    assert Memory.at(path, "one").drop(["a"]) == 0.1
    assert Memory.at(path, "two").drop(["a"]) is None
    path.write_text("[]")
    with pytest.raises(ModelError, match="not a search"):
        Memory.at(path, "one")
    assert digest(_given(), "int8") != digest(_given(), "int8-dynamic")


def test_a_metric_needs_a_bound() -> None:
    with pytest.raises(UsageError, match="give --max-drop too"):
        budget_of(None, "top1")
    with pytest.raises(UsageError, match="unknown metric"):
        budget_of(0.1, "top3")
