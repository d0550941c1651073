"""Profiles as a whole, on ONNX Runtime and on targets that misbehave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxopt
from onnxopt.backends.cpu import Cpu
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.io import save
from onnxopt.measure.process import Process
from onnxopt.measure.records import Variant
from onnxopt.profiling import Effort, ProfileReport, executed, profile
from onnxopt.profiling.models import profile_files
from onnxopt.profiling.record import Recording
from onnxopt.target import Backend
from tests.measure.fakes import Fake
from tests.passes.tools import model_of
from tests.profiling.fakes import Crashing, Writeless
from tests.profiling.models import with_weights

QUICK = Effort(launches=1, runs=16, peaks=False, timeout_s=60)
FEEDS = [{"x": np.ones((256, 512), np.float32)}]
HEAVY = """(float[256,512] x) => (float[256,512] y) {
    a = Relu(x) b = MatMul(a, w) c = Sigmoid(b) y = Add(c, x) }"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("heavy") / "heavy.onnx"
    save(with_weights(HEAVY, {"w": (512, 512)}), found)
    return found


def variant(path: Path, backend: Backend | None = None) -> Variant:
    return Variant(label=path.name, model=path, backend=backend or Cpu(threads=1))


@pytest.fixture(scope="module")
def report(path: Path) -> ProfileReport:
    """Return a profile of the heavy model and of one with two nodes more, and other names."""
    text = HEAVY.replace("c = Sigmoid(b)", "t = Tanh(b) u = Exp(t) c = Sigmoid(u)")
    other = with_weights(text, {"w": (512, 512)})
    for number, node in enumerate(other.graph):
        node.name = f"renamed_{number}"
    longer = path.with_name("longer.onnx")
    save(other, longer)
    effort = Effort(launches=2, runs=16, budget_s=600, timeout_s=60)
    return profile([variant(path), variant(longer)], FEEDS, effort=effort)


def test_the_planted_heavy_node_is_on_top(report: ProfileReport) -> None:
    model = report.models[0]
    assert model.error is None
    top = model.nodes[0]
    assert (top.op_type, top.macs) == ("MatMul", 256 * 512 * 512)
    assert (top.bound, top.kind) == ("compute", "float32")
    assert top.attainable_s
    assert top.interval is not None
    assert top.interval.low <= top.seconds <= top.interval.high
    assert (model.launches, model.runs) == (2, 32)
    assert report.peaks is not None
    assert report.peaks.macs["float32"] > 0


def test_the_parts_add_up(report: ProfileReport) -> None:
    for model in report.models:
        assert sum(row.share for row in model.nodes) == pytest.approx(1)
        assert sum(row.seconds for row in model.nodes) == pytest.approx(model.nodes_s)
        assert sum(row.seconds for row in model.operators) == pytest.approx(model.nodes_s)
        assert sum(row.nodes for row in model.operators) == len(model.nodes)
        assert model.nodes_s <= model.recorded_s
        assert model.plain is not None
        assert model.explained == pytest.approx(model.nodes_s / model.plain.value)


def test_the_trace_names_the_nodes_of_the_graph_that_ran(
    report: ProfileReport, path: Path, tmp_path: Path
) -> None:
    optimized = tmp_path / "optimized.onnx"
    Cpu(threads=1, save_optimized=optimized).open(path).close()
    written = sorted(node.op_type for node in onnx.load(optimized).graph.node)
    assert sorted(row.op_type for row in report.models[0].nodes) == written


def test_two_models_side_by_side(report: ProfileReport) -> None:
    pairs = {pair.value: (pair.before, pair.after) for pair in report.pairs}
    assert pairs["b"] == (("MatMul",), ("MatMul",))
    assert pairs["c"] == (("Sigmoid",), ("Tanh", "Exp", "Sigmoid"))
    for at, side in ((0, "before_s"), (1, "after_s")):
        total = sum(getattr(pair, side) for pair in report.pairs)
        assert total == pytest.approx(report.models[at].nodes_s)
    for pair in report.pairs:
        assert pair.change.low <= pair.change.value <= pair.change.high


def test_the_report_is_told_in_words_in_json_and_as_a_page(
    report: ProfileReport, tmp_path: Path
) -> None:
    text = str(report)
    for words in ("MatMul takes", "nodes before", "up to the value", "measured peaks"):
        assert words in text
    assert all(len(line) == len(line.rstrip()) for line in text.splitlines())
    told = json.loads(report.to_json())
    assert told["models"][0]["explained"] == report.models[0].explained
    assert len(told["pairs"]) == len(report.pairs)
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    report.save_html(page)
    html = page.read_text("utf-8")
    assert html.count("<svg") >= 3
    assert "longer.onnx" in html


def test_a_process_that_crashes_is_told_and_the_other_model_goes_on(path: Path) -> None:
    variants = [variant(path, Writeless(threads=1)), variant(path, Crashing(threads=1))]
    report = profile(variants, FEEDS, effort=QUICK)
    good, bad = report.models
    assert good.nodes[0].op_type == "MatMul"
    assert good.fusions == ()
    assert "did not write the graph" in good.notes[0]
    assert "SIGABRT" in (bad.error or "")
    assert bad.nodes == ()
    assert "SIGABRT" in str(report)


def test_a_target_that_does_not_record_is_an_error(path: Path) -> None:
    with pytest.raises(BackendError, match="'fake' does not record"):
        profile([variant(path, Fake())], FEEDS, effort=QUICK)
    with pytest.raises(BackendError, match="'fake' does not record"):
        executed(path, Fake(), FEEDS)


@pytest.mark.parametrize("after", ["opening heavy.onnx", "recording heavy.onnx, round 3"])
def test_an_interrupt_keeps_what_was_recorded(path: Path, after: str) -> None:
    def interrupt(share: float, text: str) -> None:
        assert 0 <= share <= 1
        if text == after:
            raise KeyboardInterrupt

    report = profile([variant(path)], FEEDS, effort=QUICK, progress=interrupt)
    assert report.interrupted
    assert bool(report.models[0].nodes) == after.startswith("recording")
    assert "interrupted" in str(report)


def test_an_interrupt_while_a_run_is_recorded_keeps_the_rest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, plain = [0], Process._reply

    def reply(process: Process, timeout_s: float) -> dict[str, Any]:
        asked[0] += 1
        if asked[0] == 16:  # somewhere in the rounds, with an answer still to come
            raise KeyboardInterrupt
        return plain(process, timeout_s)

    monkeypatch.setattr(Process, "_reply", reply)
    report = profile([variant(path)], FEEDS, effort=QUICK)
    assert report.interrupted
    assert report.models[0].nodes


def test_costs_are_those_of_all_samples(tmp_path: Path) -> None:
    text = "(float[n,64] x) => (float[n,64] y) { y = MatMul(x, w) }"
    model = tmp_path / "open.onnx"
    save(with_weights(text, {"w": (64, 64)}), model)
    feeds = [{"x": np.ones((rows, 64), np.float32)} for rows in (8, 24)]
    report = profile([variant(model)], feeds, effort=QUICK)
    (node,) = [row for row in report.models[0].nodes if row.op_type == "MatMul"]
    assert node.macs == 16 * 64 * 64


def test_files_and_feeds_at_fault(path: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("this is no model", encoding="utf-8")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        profile_files([text])
    with pytest.raises(UsageError, match="one model, or two"):
        profile_files([path] * 3)
    samples = tmp_path / "x.npy"
    np.save(samples, np.ones((3, 3), np.float32))
    with pytest.raises(ModelError, match=r"\[256, 512\]"):
        profile_files([path], samples=samples)
    with pytest.raises(UsageError, match="cppu"):
        profile_files([path], provider="cppu")


BRANCH = """(float[2] x) => (float[2] y) {
    z = Constant<value = float {0}>() f = ReduceMax<keepdims=0>(x) k = Greater(f, z)
    b = If (k) <then_branch = t () => (float[2] u) { s = Abs(x) u = Neg(s) },
        else_branch = e () => (float[2] v) { v = Sqrt(x) }>
    y = Add(b, x) }"""


def test_a_branch_from_python(tmp_path: Path) -> None:
    samples = tmp_path / "x.npy"
    np.save(samples, np.ones(2, np.float32))
    report = onnxopt.profile(
        model_of(BRANCH), samples=samples, threads=1, runs=16, budget=1.0, peaks=False
    )
    found = {row.op_type: (row.depth, row.count) for row in report.models[0].nodes}
    assert found["Abs"] == found["Neg"] == (1, 1)
    assert found["If"] == found["Add"] == (0, 1)
    assert "Sqrt" not in found
    assert report.charge is not None
    assert report.charge.node_s > 0
    assert report.peaks is None


def test_launches_end_with_the_budget(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[object] = []
    monkeypatch.setattr(Recording, "launch", lambda *args: launched.append(args))
    profile([variant(path)], FEEDS, effort=Effort(budget_s=-1.0, peaks=False))
    assert len(launched) == 1
