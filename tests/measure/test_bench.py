"""The harness as a whole, on targets that behave and targets that do not."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

from onnxopt import host
from onnxopt.backends.cpu import Cpu
from onnxopt.errors import BackendError, ModelError, OnnxoptError, UsageError
from onnxopt.host import allowed_cpus
from onnxopt.measure import Effort, Variant, bench
from onnxopt.measure.feeding import stored, turn_of
from onnxopt.measure.intervals import middle
from onnxopt.measure.models import labels, variants_of
from onnxopt.measure.process import Process
from onnxopt.measure.records import Block, Record
from onnxopt.measure.run import cpus_of, needed_cpus
from onnxopt.samples import fingerprint
from onnxopt.target import Feeds
from tests.backends.models import WIDTH, dense_model, single, tensor
from tests.measure.fakes import Fake, Fault

FEEDS = [{"x": np.zeros((1, WIDTH), np.float32)}, {"x": np.ones((2, WIDTH), np.float32)}]
ONCE = Effort(launches=1, blocks=3, block_s=0.004, warm_s=0.05, timeout_s=30)
QUICK = Effort(launches=2, blocks=3, block_s=0.004, warm_s=0.05, timeout_s=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    ir.save(dense_model(), path)
    return path


def fake(fault: Fault = "none", log: Path | None = None) -> Variant:
    return Variant(label=fault, model=Path("none.onnx"), backend=Fake(fault=fault, log=log))


def test_two_models_are_compared(path: Path) -> None:
    backend = Cpu(threads=1)
    variants = [Variant(label=label, model=path, backend=backend) for label in "ab"]
    told: list[float] = []
    report = bench(variants, effort=QUICK, progress=lambda share, _: told.append(share))
    first, second = report.rows
    assert first.ratio is None
    assert second.ratio is not None
    assert second.ratio.low <= second.ratio.value <= second.ratio.high
    assert report.rows[0].noise is not None
    assert second.verdict
    assert (first.launches, second.launches) == (2, 2)
    assert first.open_s
    assert first.first_s
    assert first.peak_bytes > 10**7
    assert not report.interrupted
    assert first.backend == "cpu{threads=1}"
    (note,) = report.notes
    assert note.startswith("the inputs are made up: x float32[1,64];")
    assert told == sorted(told)
    assert (first.provider, first.threads, second.baseline) == ("cpu", 1, "a")
    assert len(first.sample) == min(first.runs, 200)
    assert list(first.sample) == sorted(first.sample)
    assert len(first.processes) == 2
    json.loads(report.to_json())


def test_one_model_alone_has_no_ratio() -> None:
    report = bench([fake()], feeds=FEEDS, effort=ONCE)
    (row,) = report.rows
    assert row.median is not None
    assert row.ratio is None
    assert row.verdict == ""
    assert report.rows[0].noise is None


def test_only_one_process_runs_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    bench([fake(log=log), fake(log=log)], feeds=FEEDS, effort=ONCE)
    runs = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    assert len({process for process, *_ in runs}) == 3  # two variants and the baseline's twin
    spans = sorted((float(start), float(end)) for _, start, end in runs)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))


def test_blocks_are_interleaved_in_changing_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    effort = Effort(launches=1, blocks=12, block_s=0.001, warm_s=0.02)
    bench([fake(log=log), fake(log=log)], feeds=FEEDS, effort=effort)
    processes = [line.split()[0] for line in log.read_text(encoding="utf-8").splitlines()]
    turns = [process for process, _ in itertools.groupby(processes)]
    followers = collections.Counter(itertools.pairwise(turns[-20:]))
    assert len(followers) >= 4  # a fixed order of three has three


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("refuse", "refuses"),
        ("crash", "SIGABRT"),
        ("late crash", "status 7"),
        ("hang", "it hangs"),
    ],
)
def test_a_variant_that_fails_is_told_and_the_others_go_on(fault: Fault, message: str) -> None:
    effort = Effort(launches=1, blocks=2, block_s=0.02, warm_s=0.05, timeout_s=5)
    report = bench([fake(), fake(fault)], feeds=FEEDS, effort=effort)
    good, bad = report.rows
    assert good.error is None
    assert good.runs > 0
    assert bad.error is not None
    assert message in bad.error
    assert bad.ratio is None


def test_a_failing_baseline_leaves_the_others_latency() -> None:
    report = bench([fake("refuse"), fake()], feeds=FEEDS, effort=ONCE)
    assert report.rows[0].error is not None
    assert report.rows[1].median is not None
    assert report.rows[1].ratio is None


def test_what_is_left_of_several_is_measured_like_one() -> None:
    told = dataclasses.replace(fake(), label="b", fault="/models/b.onnx: is no model")
    report = bench([fake(), told], feeds=FEEDS, effort=QUICK)
    alone, other = report.rows
    assert alone.launches == QUICK.launches
    assert alone.noise is None
    assert other.problem == "b: /models/b.onnx: is no model"
    assert dataclasses.replace(other, model="/models/b.onnx").problem == told.fault
    assert len(report.notes) == 1  # on what it ran, and nothing about a budget


def test_an_interrupt_keeps_what_was_measured() -> None:
    seen: list[str] = []

    def interrupt(share: float, text: str) -> None:
        seen.append(text)
        if text == "measuring, round 3":
            raise KeyboardInterrupt

    report = bench([fake(), fake()], feeds=FEEDS, effort=ONCE, progress=interrupt)
    assert report.interrupted
    assert report.rows[1].ratio is not None
    assert report.rows[0].launches == 1


def test_nothing_left_to_compare_ends_it() -> None:
    effort = Effort(budget_s=60, blocks=3, block_s=0.004, warm_s=0.05, timeout_s=30)
    report = bench([fake(), fake("refuse")], feeds=FEEDS, effort=effort)
    assert [row.launches for row in report.rows] == [1, 0]
    assert report.rows[1].error is not None


def test_more_threads_than_cpus_are_measured_and_told(path: Path) -> None:
    cpus = len(allowed_cpus())
    greedy = Variant(label="a", model=path, backend=Cpu(threads=cpus + 1))
    report = bench([greedy], effort=ONCE)
    assert report.rows[0].median is not None
    assert any(f"{cpus + 1} threads on {cpus} CPU" in warning for warning in report.warnings)


def test_absurdly_many_threads_are_refused() -> None:
    greedy = Variant(label="a", model=Path("a"), backend=Cpu(threads=10_000))
    with pytest.raises(UsageError, match=f"better {len(allowed_cpus())}$"):
        bench([greedy])


def test_a_budget_that_was_too_small_is_told() -> None:
    effort = Effort(budget_s=0.1, blocks=3, block_s=0.004, warm_s=0.05, timeout_s=30)
    fed, note = bench([fake()], feeds=FEEDS, effort=effort).notes
    assert fed == "on 2 samples: x float32[1 to 2,64]"
    assert "beyond the budget of 0.1 s: five processes a model" in note


def test_models_are_looked_at_first(path: Path, tmp_path: Path) -> None:
    text, other = tmp_path / "text.onnx", tmp_path / "other.onnx"
    text.write_text("this is no model", encoding="utf-8")
    inputs = [tensor("a", ir.DataType.FLOAT, (1,))]
    node = ir.Node("", "Abs", inputs, outputs=[tensor("y", ir.DataType.FLOAT, (1,))])
    ir.save(single(node, inputs), other)
    first, bad, good, strange = variants_of([path, text, path, other])
    assert first.fault is None
    assert good.fault is None
    assert "text.onnx" in (bad.fault or "")
    assert "has no input 'x'" in (strange.fault or "")
    assert [bool(each.fault) for each in variants_of([path, text])] == [False, True]
    assert [bool(each.fault) for each in variants_of([text, path])] == [True, False]
    with pytest.raises(ModelError, match=r"text\.onnx"):
        variants_of([text, text])


@pytest.mark.parametrize(
    ("kind", "shape", "problem"),
    [
        (ir.DataType.FLOAT, (2, WIDTH), None),
        (ir.DataType.FLOAT16, ("N", WIDTH), "is FLOAT16, and FLOAT in"),
        (ir.DataType.FLOAT, ("N", 1, WIDTH), "and [N,64] in {first}"),
        (ir.DataType.FLOAT, ("N", 3), "and [N,64] in {first}"),
    ],
)
def test_inputs_must_fit_the_first_models(
    path: Path, tmp_path: Path, kind: ir.DataType, shape: tuple[int | str, ...], problem: str | None
) -> None:
    other, inputs = tmp_path / "other.onnx", [tensor("x", kind, shape)]
    node = ir.Node("", "Abs", inputs, outputs=[tensor("y", kind, shape)])
    ir.save(single(node, inputs), other)
    _, _, variant = variants_of([path, path, other])
    if problem is None:
        assert variant.fault is None
    else:
        assert problem.format(first=path) in (variant.fault or "")


def test_nothing_to_measure_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="at least one model"):
        bench([])
    with pytest.raises(UsageError, match="no samples"):
        bench([fake()], feeds=[])


def test_a_process_counts_by_the_median_of_all_its_runs() -> None:
    times = np.random.default_rng(0).exponential(0.005, (6, 4)) + 0.01
    record = Record(fake())
    record.launches += [{at: Block(list(row), 1, 1) for at, row in enumerate(times)}, {}]
    row, empty = record.latencies()
    assert empty == []
    assert middle(np.array(row)) == pytest.approx(np.log(np.median(times)))
    assert np.diff(row) == pytest.approx(np.diff(np.log(np.median(times, axis=1))))


def test_what_accepts_no_feeds_is_named(tmp_path: Path) -> None:
    path = tmp_path / "divides.onnx"
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (int32[2] x) => (int32[2] y) { d = Sub (x, x) y = Div (x, d) }"""
    ir.save(ir.from_onnx_text(text), path)
    with pytest.raises(OnnxoptError, match=r"^.*divides\.onnx: the model does not run on"):
        bench(variants_of([path]), effort=ONCE)


def test_an_interrupt_before_anything_was_measured_keeps_an_old_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxopt.cli.app import app
    from onnxopt.measure.run import Measurement

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = tmp_path / "run.json"
    old.write_text("an old run")
    monkeypatch.setattr(Measurement, "run", interrupt)
    said = CliRunner().invoke(app(), ["bench", str(path), "--save", str(old)])
    assert said.output == ""
    assert old.read_text() == "an old run"


def test_a_worker_reports_and_lives_on() -> None:
    with Process() as process, stored(FEEDS) as feeds:
        process.ready(30)
        process.open(Path("none.onnx"), Fake(), (), 30)
        assert process.feed(feeds, 30)["first_s"] > 0
        with pytest.raises(BackendError, match="refuses"):
            process.open(Path("none.onnx"), Fake(fault="refuse"), (), 30)
        assert len(process.ask({"do": "block", "runs": 4, "streams": 1}, 30)["times"]) == 4


def test_a_reply_that_nobody_waits_for_any_more_is_dropped() -> None:
    with Process() as process, stored(FEEDS) as feeds:
        process.ready(30)
        process.open(Path("none.onnx"), Fake(seconds=0.3), (), 30)
        with pytest.raises(BackendError, match="it hangs"):
            process.feed(feeds, 0.05)
        assert "times" in process.ask({"do": "block", "runs": 1, "streams": 1}, 30)


def test_threads_that_run_side_by_side_have_cpus_of_their_own() -> None:
    both = Variant(label="a", model=Path("a"), backend=Cpu(threads=1, inter_threads=2))
    assert needed_cpus(both) == 2
    assert len(cpus_of(both)) == min(2, len(allowed_cpus()))


def test_physical_cores_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def siblings(path: str) -> str:
        cpu = int(path.partition("/cpu/cpu")[2].partition("/")[0])
        return f"{cpu - cpu % 2}-{cpu - cpu % 2 + 1}\n"

    monkeypatch.setattr(host, "allowed_cpus", lambda: tuple(range(6)))
    monkeypatch.setattr(host, "file_text", siblings)
    assert host.spread_cpus() == (0, 2, 4, 1, 3, 5)


def test_samples_of_other_sizes_have_times_of_their_own() -> None:
    short, long = [1.0] * 5, [8.0] * 3
    block = Block([*short, *long] * 2, 58.0, 0.0, turn=8)
    assert math.exp(block.latency) == pytest.approx(29 / 8)
    assert math.exp(Block([*short, *long] * 2, 58.0, 0.0).latency) == pytest.approx(1.0)
    alike: list[Feeds] = [{"x": np.zeros((1, 4))}, {"x": np.ones((1, 4))}]
    other: list[Feeds] = [*alike, {"x": np.ones((1, 5))}]
    assert (turn_of(alike), turn_of(other)) == (1, 3)


def test_feeds_are_told_apart_by_what_they_hold() -> None:
    x = np.arange(6, dtype=np.float32)
    feeds: list[list[Feeds]] = [
        [{"x": x}],
        [{"x": x.reshape(2, 3)}],
        [{"x": x.astype(np.float64)}],
        [{"y": x}],
        [{"x": x + 1}],
        [{"x": np.array(["a"], dtype=object)}],
    ]
    assert len({fingerprint(each) for each in feeds}) == len(feeds)
    assert fingerprint([{"x": x.copy()}]) == fingerprint([{"x": x}])


def test_the_first_that_can_be_fed_says_the_inputs(path: Path) -> None:
    refused = Variant(label="refused", model=path, backend=Fake(fault="refuse"))
    good = Variant(label="good", model=path, backend=Cpu(threads=1))
    report = bench([refused, good], effort=ONCE)
    assert "refuses" in (report.rows[0].error or "")
    assert report.rows[1].median is not None
    with pytest.raises(OnnxoptError, match="refuses"):
        bench([refused], effort=ONCE)


def test_the_command(path: Path, tmp_path: Path) -> None:
    from onnxopt.cli.app import app

    arguments = ["bench", str(path), "--budget", "1", "--threads", "1", "--json"]
    result = CliRunner().invoke(app(), arguments)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)["rows"]
    assert row["label"] == "model.onnx"
    assert row["median"]["low"] > 0
    missing = CliRunner().invoke(app(), ["bench", str(tmp_path / "no.onnx")])
    assert isinstance(missing.exception, ModelError)


def test_time_on_the_device_stands_beside_end_to_end() -> None:
    backend = Fake(device_seconds=0.0004)
    variants = [
        Variant(label="one", model=Path("none"), backend=backend, group="one"),
        Variant(label="three", model=Path("none"), backend=backend, streams=3, group="three"),
        Variant(label="host", model=Path("none"), backend=Fake(), group="host"),
    ]
    effort = Effort(launches=1, blocks=3, block_s=0.01, stream_block_s=0.02, warm_s=0.02)
    report = bench(variants, feeds=[{}], effort=effort)
    one, three, host = report.rows
    assert [row.error for row in report.rows] == [None] * 3
    assert one.device is not None
    assert one.median is not None
    assert one.device.value == pytest.approx(0.0004)
    assert one.median.value >= 0.001
    assert three.device is None  # streams would have to share the clock
    assert host.device is None
    lines = str(report).splitlines()
    assert "on device" in lines[0]
    assert "400 us" in next(line for line in lines if line.startswith("one"))
    assert sum("the stream is idle" in line for line in lines) == 1


def test_labels_tell_paths_apart() -> None:
    assert labels([Path("a/m.onnx"), Path("b/m.onnx")]) == ["a/m.onnx", "b/m.onnx"]
    assert labels([Path("x/a.onnx"), Path("x/b.onnx")]) == ["a.onnx", "b.onnx"]
    assert labels([Path("a.onnx")] * 2) == ["a.onnx (1)", "a.onnx (2)"]


def test_the_working_directory_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxopt").mkdir()
    (tmp_path / "onnxopt" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    with Process() as process:
        process.ready(30)
