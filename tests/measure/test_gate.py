"""Runs that are kept, and models that are held to them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir
import pytest

from onnxopt.errors import ModelError, UsageError
from onnxopt.host import Host
from onnxopt.measure import BenchReport, Row, Variant
from onnxopt.measure.gate import against
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.load import Quiet
from onnxopt.measure.models import Matrix
from onnxopt.measure.request import Request
from onnxopt.measure.saved import Saved, model_hash, save
from onnxopt.spec import write_options
from tests.backends.models import dense_model
from tests.cli.command import Command

PRECISE = 0.001


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "old").mkdir()
    ir.save(dense_model(), tmp_path / "old" / "model.onnx")
    return tmp_path / "old" / "model.onnx"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    model = dense_model()
    model.graph.doc_string = "changed"
    ir.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def report(variants: Sequence[Variant], *milliseconds: float) -> BenchReport:
    """Return a report as if each variant had taken so long, known to a thousandth."""
    rows = []
    for variant, ms in zip(variants, milliseconds, strict=True):
        median = Estimate(ms / 1e3, ms / 1e3 / (1 + PRECISE), ms / 1e3 * (1 + PRECISE))
        rows.append(
            Row(
                label=variant.label,
                model=str(variant.model),
                backend="cpu" + write_options(variant.backend),
                provider="cpu",
                threads=variant.threads,
                batch=variant.inputs.batch,
                feeds_hash="f",
                median=median,
            )
        )
    return BenchReport(
        rows=tuple(rows),
        host=Host.here(),
        quiet=Quiet(others=0, steal=0),
        warnings=(),
        notes=(),
        seconds=1,
        seed=0,
        interrupted=False,
    )


def kept(model: Path, to: Path, milliseconds: float = 10.0) -> Saved:
    from onnxopt.measure.models import variants_of

    save(report(variants_of([model]), milliseconds), to)
    return Saved.read(to)


def test_the_old_model_at_hand_is_measured_side_by_side(old: Path, new: Path) -> None:
    saved = kept(old, old.with_suffix(".json"))
    seen: list[Path] = []

    def measure(variants: Sequence[Variant]) -> BenchReport:
        seen.extend(variant.model for variant in variants)
        return report(variants, 10, 11)

    found = against(saved, new, Matrix(), measure, force=False)
    assert seen == [old, new]
    assert "side by side" in found.notes[0]


@pytest.mark.parametrize(
    ("milliseconds", "outcome"), [(10.2, "same"), (12.0, "slower"), (8.0, "faster")]
)
def test_across_runs_the_interval_allows_for_what_runs_differ_by(
    old: Path, milliseconds: float, outcome: str
) -> None:
    saved = kept(old, old.with_suffix(".json"))
    found = against(saved, old, Matrix(), lambda vs: report(vs, milliseconds), force=False)
    (row,) = found.rows
    assert row.outcome == outcome
    assert found.slower is (outcome == "slower")
    assert row.ratio is not None
    assert row.ratio.high / row.ratio.low > 1.2  # twice 1.96 sqrt(2) times 3.6 %
    assert "not side by side" in found.notes[-1]


def test_a_faster_model_passes_the_gate(old: Path) -> None:
    saved = kept(old, old.with_suffix(".json"))
    found = against(saved, old, Matrix(), lambda vs: report(vs, 9.1), force=False)
    assert found.rows[0].outcome == "same"
    assert found.rows[0].verdict.startswith("not slower")


def test_a_run_that_was_cut_short_is_no_reference(old: Path) -> None:
    saved = kept(old, old.with_suffix(".json"))
    (row,) = saved.rows
    cut = dataclasses.replace(saved, interrupted=True, rows=(dataclasses.replace(row, launches=1),))
    found = against(cut, old, Matrix(), lambda vs: report(vs, 20), force=False)
    assert found.rows[0].outcome == "unknown"
    assert "interrupted too early" in found.rows[0].verdict


@pytest.mark.parametrize("change", ["host", "feeds", "busy"])
def test_nothing_is_claimed_across_machines_or_feeds_or_when_busy(old: Path, change: str) -> None:
    saved = kept(old, old.with_suffix(".json"))
    quiet = Quiet(others=0.8 if change == "busy" else 0.0, steal=0)

    def measure(variants: Sequence[Variant]) -> BenchReport:
        return dataclasses.replace(report(variants, 20), quiet=quiet)

    if change == "host":
        saved = dataclasses.replace(saved, host={**saved.host, "cpu": "another"})
    if change == "feeds":
        (row,) = saved.rows
        saved = dataclasses.replace(saved, rows=(dataclasses.replace(row, feeds_hash="g"),))
    found = against(saved, old, Matrix(), measure, force=False)
    assert found.rows[0].outcome == "unknown"
    assert not found.slower
    assert against(saved, old, Matrix(), measure, force=True).slower


def test_other_versions_are_told(old: Path) -> None:
    saved = kept(old, old.with_suffix(".json"))
    versions = {**saved.host["versions"], "onnxruntime": "0.1"}
    saved = dataclasses.replace(saved, host={**saved.host, "versions": versions})
    found = against(saved, old, Matrix(), lambda vs: report(vs, 10), force=False)
    assert any(note.startswith("onnxruntime was 0.1 then") for note in found.notes)


def test_a_model_that_was_held_to_itself_is_one_model(old: Path) -> None:
    saved = kept(old, old.with_suffix(".json"))
    twice = dataclasses.replace(saved, rows=saved.rows * 2)
    found = against(twice, old, Matrix(), lambda vs: report(vs, 10), force=False)
    assert found.rows[0].outcome == "same"
    assert found.notes[-1].endswith("the model is the very one of that run")


def test_other_conditions_are_an_error_that_names_them(old: Path) -> None:
    saved = kept(old, old.with_suffix(".json"))
    with pytest.raises(ModelError, match=r"no run on cpu\{threads=1\}; it has cpu: measure"):
        against(saved, old, Matrix(threads=(1,)), lambda vs: report(vs, 10), force=False)


def test_weights_beside_the_model_count_as_the_model(old: Path) -> None:
    model = ir.load(old)
    ir.save(model, old, external_data="weights.data")
    before = model_hash(old)
    weights = old.with_name("weights.data")
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    assert model_hash(old) != before
    weights.unlink()
    assert model_hash(old) == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ("no json", "is no JSON"),
        ("[]", "holds no run"),
        ('{"rows": []}', "holds no run"),
        ('{"format": "onnxopt-bench", "version": 99}', "version 99"),
        ('{"format": "onnxopt-bench", "version": 1}', "damaged"),
        ('{"format": "onnxopt-bench", "version": 1, "rows": [3]}', "damaged"),
        ('{"format": "onnxopt-bench", "version": 1, "rows": [{}]}', "damaged"),
    ],
)
def test_a_wrong_file_is_a_clear_error(tmp_path: Path, content: str | None, problem: str) -> None:
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=problem):
        Saved.read(path)


def test_times_that_cannot_be_are_damage(old: Path) -> None:
    path = old.with_suffix(".json")
    kept(old, path)
    said = json.loads(path.read_text("utf-8"))
    said["rows"][0]["median"]["low"] = -1
    path.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(ModelError, match="damaged"):
        Saved.read(path)


def test_one_model_is_held_to_a_run(old: Path) -> None:
    with pytest.raises(UsageError, match="exactly one"):
        Request(models=(old, old), against=old).run()


def test_the_command_keeps_a_run_and_fails_for_a_slower_model(
    onnxopt: Command, old: Path, new: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run.json"
    said = onnxopt("bench", old, "--threads", 1, "--budget", "1s", "--save", run)
    assert said.status == 0, said.err
    wrong = onnxopt("bench", new, "--against", run)
    assert wrong.status == 2
    assert "no run on cpu;" in wrong.error
    told = json.loads(run.read_text("utf-8"))
    median = told["rows"][0]["median"]
    told["rows"][0]["median"] = {name: value / 100 for name, value in median.items()}
    told["models"] = {}
    run.write_text(json.dumps(told), encoding="utf-8")
    arguments = ["bench", old, "--threads", 1, "--budget", "1s", "--against", run, "--force"]
    slower = onnxopt(*arguments)
    assert slower.status == 1
    assert "slower by" in slower.out
    untold = onnxopt(*arguments[:-1], "--seed", 5)
    assert untold.status == 2
    assert "on other feeds" in untold.out or "too busy" in untold.out
