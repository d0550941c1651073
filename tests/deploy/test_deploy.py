"""Deployments of the demo model: what is taken and why, what is kept, and how it is opened."""

from __future__ import annotations

import dataclasses
import importlib
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxopt
from onnxopt.backends.cuda import Cuda
from onnxopt.deployer import Request, run
from onnxopt.deployer.choice import best_of, left_behind
from onnxopt.deployer.report import Candidate, Opening
from onnxopt.deployer.stages import Stages, file_hash, samples_hash
from onnxopt.deployer.timing import told
from onnxopt.deployer.ways import way_of, ways_to_open
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.host import Host
from onnxopt.opening import SESSION
from onnxopt.samples import Sample, Samples
from tests.cli.command import command
from tests.source import ROOT

DIGITS = ROOT / "examples" / "digits.onnx"
SAMPLES = ROOT / "examples" / "digits_samples"
command_line = pytest.fixture(command, name="command_line")


def test_unmeasured_the_optimized_model_is_taken_and_equal(tmp_path: Path) -> None:
    report = onnxopt.deploy(
        str(DIGITS), str(SAMPLES), folder=tmp_path, measure=False, quantize=False
    )
    assert report.chosen == "optimized"
    assert [each.label for each in report.candidates] == ["given", "optimized"]
    assert report.candidates[1].nodes < report.candidates[0].nodes
    assert json.loads((tmp_path / "report.json").read_text())["chosen"] == "optimized"
    feeds = dict(np.load(next(iter(sorted(SAMPLES.glob("*.npz"))))))
    feeds = {name: array for name, array in feeds.items() if name not in ("label", "labels")}
    with onnxopt.session(report.model) as session, onnxopt.session(DIGITS) as original:
        found, expected = session.run(feeds), original.run(feeds)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


def test_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"folder": tmp_path, "measure": False, "quantize": False}
    assert onnxopt.deploy(DIGITS, str(SAMPLES), **options).reused == ()
    again = onnxopt.deploy(DIGITS, str(SAMPLES), **options)
    assert again.reused == ("optimize", "compare optimized")
    (tmp_path / "optimized.onnx").write_bytes(b"")
    assert "optimize" not in onnxopt.deploy(DIGITS, str(SAMPLES), **options).reused
    assert "optimize" not in onnxopt.deploy(DIGITS, None, **options).reused


@pytest.mark.parametrize("labelled", [False, True])
def test_quantized_where_it_keeps_the_outputs(tmp_path: Path, labelled: bool) -> None:
    (tmp_path / "samples").mkdir()
    for path in sorted(SAMPLES.glob("*.npz")):
        arrays = dict(np.load(path))
        kept = {n: a for n, a in arrays.items() if labelled or n not in ("label", "labels")}
        np.savez(tmp_path / "samples" / path.name, **kept)
    samples = tmp_path / "samples"
    report = onnxopt.deploy(DIGITS, samples, folder=tmp_path / "out", measure=False)
    assert [each.label for each in report.candidates] == ["given", "optimized", "quantized"]
    assert report.candidates[2].refused is None
    assert bool(report.candidates[2].metrics) is labelled
    assert report.candidates[2].how == "int8"
    assert ("may fall by 1 point" in report.candidates[2].agrees) is labelled
    assert ("layers is taken to cost" in report.candidates[2].agrees) is not labelled
    compare = next(
        line for line in report.commands if "compare" in line and "quantized.onnx" in line
    )
    assert ("--max-drop 0.01" in compare) is labelled
    assert ("--min-sqnr" in compare) is not labelled
    assert "--held-back" in compare
    again = onnxopt.deploy(DIGITS, samples, folder=tmp_path / "out", measure=False)
    assert "quantize" in again.reused
    lines = [line for line in again.commands if line.startswith("onnxopt quantize")]
    assert ("--max-drop 0.01" in lines[0]) is labelled


def test_a_target_that_is_elsewhere(tmp_path: Path) -> None:
    if Cuda.unavailable() is None:
        pytest.skip("CUDA is here")
    folder = tmp_path / "out"
    with pytest.raises(BackendError, match="--no-measure prepares"):
        onnxopt.deploy(DIGITS, folder=folder, target="cuda")
    assert not folder.exists()
    report = onnxopt.deploy(DIGITS, str(SAMPLES), folder=folder, target="cuda", measure=False)
    assert "compared on the CPU" in report.warnings[0]
    assert report.session == "cuda"
    with pytest.raises(BackendError, match="provider='cpu'"):
        onnxopt.session(report.model)
    compare = next(line for line in report.commands if "compare" in line)
    assert "--provider" not in compare


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (Request(folder=Path(), samples=Path("nowhere")), "no such file or folder"),
        (Request(folder=Path(), metrics=("perplexit",)), "unknown metric"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_written(
    asked: Request, problem: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    asked = dataclasses.replace(asked, folder=folder)
    with pytest.raises((ModelError, UsageError), match=problem):
        run(DIGITS, asked)
    assert not folder.exists()


def test_commands_repeat_what_was_done(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    report = onnxopt.deploy(
        DIGITS, str(SAMPLES), folder=folder, measure=False, quantize=False, seed=3
    )
    for line in report.commands:
        assert line.endswith(f"--samples {SAMPLES} --seed 3")
        assert f"'{folder}/optimized.onnx'" in line


def test_commands_without_a_folder_of_samples_say_so(tmp_path: Path) -> None:
    feeds = [{"image": np.zeros((1, 1, 8, 8), np.float32)}]
    options: dict[str, Any] = {"measure": False, "quantize": False}
    report = onnxopt.deploy(DIGITS, Samples.of(feeds), folder=tmp_path, **options)
    assert "add --samples" in str(report)
    assert "add --samples" not in str(onnxopt.deploy(DIGITS, folder=tmp_path, **options))


def test_a_page_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = importlib.import_module("onnxopt.deployer.page")

    def missing(*_: object) -> None:
        raise UsageError("pages take the extra html")

    monkeypatch.setattr(page, "page_of", missing)
    report = onnxopt.deploy(DIGITS, folder=tmp_path, measure=False, quantize=False)
    assert "no report.html: pages take the extra html" in report.notes


def test_a_model_is_not_written_over(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(DIGITS.read_bytes())
    with pytest.raises(UsageError, match="would be written over"):
        onnxopt.deploy(model, folder=tmp_path, measure=False, quantize=False)
    assert model.read_bytes() == DIGITS.read_bytes()


def test_a_result_that_is_changed_stays_what_was_kept(tmp_path: Path) -> None:
    stages = Stages(tmp_path)
    for _ in range(2):
        assert stages.do("one", [1], lambda: {"a": 1}).pop("a") == 1
    stages.do("two", [1], dict)
    assert Stages(tmp_path).do("one", [1], dict) == {"a": 1}


def test_what_was_made_and_left_is_told() -> None:
    exported = Candidate(label="exported", file="", nodes=1, weight_bytes=1)
    optimized = _candidate("optimized", 0.9, "faster")
    refused = _candidate("quantized", 0.5, "faster", "loses too much")
    told = left_behind([exported, optimized, refused], "optimized", measured=True)
    assert told == ["quantized: loses too much"]
    plain = dataclasses.replace(refused, refused=None)
    told = left_behind([exported, optimized, plain], "quantized", measured=True)
    assert told == [
        "optimized: slower than the quantized one: 0.900 beside 0.500 of the exported one's time"
    ]
    unmeasured = dataclasses.replace(plain, outcome=None, ratio=None, verdict="")
    told = left_behind([exported, optimized, unmeasured], "optimized", measured=False)
    assert told == ["quantized: whether it is faster was not measured"]


def test_samples_are_told_apart_by_all_they_hold() -> None:
    def stream(last: float, label: int) -> Samples:
        feeds = [{"x": np.zeros(3, np.float32)} for _ in range(40)]
        feeds.append({"x": np.full(3, last, np.float32)})
        return Samples(lambda: (Sample(each, np.array(label)) for each in feeds), 41)

    assert samples_hash(stream(1, 0)) == samples_hash(stream(1, 0))
    assert len({samples_hash(stream(*each)) for each in ((1, 0), (2, 0), (1, 1))}) == 3


def test_data_outside_the_file_tells_models_apart(tmp_path: Path) -> None:
    model = onnx.load(DIGITS)
    path = tmp_path / "model.onnx"
    options: dict[str, Any] = {"save_as_external_data": True, "size_threshold": 0}
    onnx.save(model, path, location="weights.bin", **options)
    before = file_hash(path)
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    assert file_hash(path) != before


def _clock(files: dict[str, Path], *_: object) -> dict[str, Any]:
    """Pretend that each file takes 80 % of the time of the one before."""
    rows = {}
    for at, (label, path) in enumerate(files.items()):
        assert path.exists()
        ratio = 0.8**at
        rows[label] = {
            "median_s": 1e-3 * ratio,
            "ratio": [ratio, ratio - 0.01, ratio + 0.01] if at else None,
            "outcome": "faster" if at else None,
            "verdict": "faster by 20 %" if at else "",
            "beside_s": 1e-3 if at else None,
            "chosen_for": None,
            "second": None,
            "open_s": 1e-2,
            "peak_bytes": 1 << 20,
            "refused": None,
        }
    return {
        "rows": rows,
        "noise": [1.0, 0.99, 1.01],
        "unsteady": ["took 31 s"],
        "others": 0.3,
        "notes": ["on made-up inputs"],
    }


def test_measured_with_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="pages take the extra html")
    monkeypatch.setattr(importlib.import_module("onnxopt.deployer.clock"), "timed", _clock)
    report = onnxopt.deploy(DIGITS, str(SAMPLES), folder=tmp_path, quantize=False)
    assert report.candidates[0].median_s is not None
    assert report.chosen == "optimized"
    assert report.candidates[1].ratio is not None
    page = (tmp_path / "report.html").read_text()
    assert "onnxopt.session" in page
    assert "<svg" in page
    assert str(report).count("onnxopt bench") == 2
    assert "took 31 s" in page
    assert "not steady" in str(report)
    assert "other processes took up to 30 %" in report.warnings[0]
    again = onnxopt.deploy(DIGITS, str(SAMPLES), folder=tmp_path, quantize=False, again=True)
    assert again.reused == ("optimize", "compare optimized")
    parts = ("candidates", "ways to open", "as it ships")
    assert report.measurement == tuple(f"{part}: took 31 s" for part in parts)
    assert "latency: on made-up inputs" in report.notes
    ways = list(ways_to_open("cpu", Host.here().cores))
    assert [each.target for each in report.ways] == ways
    assert report.session == ways[-1]
    assert [each.target for each in report.shipped] == [ways[-1]] * 2
    assert "opened as it ships: faster by 20 %" in report.why
    assert onnxopt.load(report.model).metadata_props[SESSION] == report.session


def test_the_command(command_line: Any, tmp_path: Path) -> None:
    said = command_line(
        *("deploy", DIGITS, "-o", tmp_path / "out", "--samples", SAMPLES),
        *("--no-measure", "--no-quantize"),
    )
    assert said.status == 0, said.err
    assert "the optimized model" in " ".join(said.out.split())
    assert "onnxopt optimize" in said.out
    (line,) = (line for line in said.out.splitlines() if "# all of it" in line)
    again = command_line(*shlex.split(line, comments=True)[1:])
    assert (again.status, "kept from before: optimize" in " ".join(again.out.split())) == (0, True)
    (tmp_path / "taken").write_text("")
    said = command_line("deploy", DIGITS, "-o", tmp_path / "taken")
    assert (said.status, "is a file; name a folder" in said.error) == (2, True)


def _candidate(label: str, ratio: float, outcome: str, refused: str | None = None) -> Candidate:
    return Candidate(
        label=label,
        file="",
        nodes=1,
        weight_bytes=1,
        ratio=(ratio, ratio - 0.01, ratio + 0.01),
        outcome=outcome,
        verdict=f"{outcome} by {100 * abs(1 - ratio):.0f} %",
        refused=refused,
    )


@pytest.mark.parametrize(
    ("optimized", "quantized", "chosen"),
    [
        ((0.9, "faster"), (0.5, "faster"), "quantized"),
        ((0.9, "faster"), (0.5, "faster", "loses too much"), "optimized"),
        ((1.0, "equal"), (1.2, "slower"), "optimized"),
        ((1.1, "slower"), (1.2, "slower"), "exported"),
        ((1.1, "slower"), (0.9, "faster"), "quantized"),
        ((0.8, "faster", "differs"), (1.3, "slower"), "exported"),
        ((0.900, "faster"), (0.899, "faster"), "optimized"),
        ((0.930, "same"), (0.95, "faster"), "optimized"),
        ((0.930, "unknown"), (0.95, "faster"), "quantized"),
    ],
)
def test_the_choice_is_never_slower_and_never_refused(
    optimized: Any, quantized: Any, chosen: str
) -> None:
    exported = Candidate(label="exported", file="", nodes=1, weight_bytes=1)
    rest = [_candidate("optimized", *optimized), _candidate("quantized", *quantized)]
    assert best_of([exported, *rest])[0] == chosen


def test_the_way_to_open_is_the_usual_one_unless_another_is_faster() -> None:
    ways = ways_to_open("cpu", 2)
    assert list(ways) == ["cpu", "cpu{threads=1}", "cpu{spinning=false}"]
    usual = Opening(target="cpu", means="the default")
    one = Opening(target="cpu{threads=1}", means="one thread", ratio=(0.8, 0.7, 0.9))
    unsure = dataclasses.replace(one, outcome="unknown", verdict="too noisy")
    asleep = Opening(target="cpu{spinning=false}", means="asleep", verdict="slower by 9 %")
    name, why = way_of([usual, unsure, asleep], "cpu")
    assert name == "cpu"
    assert "cpu{threads=1} (one thread) 0.80 of its time, undecided" in why
    assert "cpu{spinning=false} (asleep)" in why
    faster = dataclasses.replace(one, outcome="faster", verdict="faster by 20 %")
    name, why = way_of([usual, faster, asleep], "cpu")
    assert name == "cpu{threads=1}"
    assert why.startswith(
        "one thread, faster by 20 % than cpu on this machine; cpu{spinning=false}"
    )


def test_a_model_may_not_name_files_to_write(tmp_path: Path) -> None:
    model = onnxopt.load(DIGITS)
    for text, problem in (("cpu{record=x}", "name a file"), ("cpu{", "cannot be read")):
        model.metadata_props[SESSION] = text
        onnxopt.save(model, tmp_path / "m.onnx")
        with pytest.raises(ModelError, match=problem):
            onnxopt.session(tmp_path / "m.onnx")
    with onnxopt.session(tmp_path / "m.onnx", provider="cpu{threads=1}") as session:
        assert session.run is not None


def test_a_damaged_record_of_stages(tmp_path: Path) -> None:
    (tmp_path / "stages.json").write_text("{")
    with pytest.raises(ModelError, match="remove it"):
        Stages(tmp_path)
    with pytest.raises(UsageError, match="is a file; name a folder"):
        Stages(tmp_path / "stages.json")


def test_what_told_nothing_is_done_again(tmp_path: Path) -> None:
    rows = {"optimized": {"outcome": "unknown"}, "exported": {"outcome": None}}
    Stages(tmp_path).do("bench", [1], lambda: {"rows": rows}, keeps=told)
    rows["quantized"] = {"outcome": "faster"}
    assert Stages(tmp_path).do("bench", [1], lambda: {"rows": rows}, keeps=told) == {"rows": rows}
    assert Stages(tmp_path).do("bench", [1], dict, keeps=told) == {"rows": rows}


def test_another_choice_in_the_same_folder_is_told(tmp_path: Path) -> None:
    options: dict[str, Any] = {"folder": tmp_path, "measure": False, "quantize": False}
    onnxopt.deploy(DIGITS, str(SAMPLES), **options)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chosen": "quantized"}))
    (tmp_path / "quantized.onnx").write_bytes(b"")
    report = onnxopt.deploy(DIGITS, str(SAMPLES), **options)
    assert "was the quantized model of an earlier deployment" in report.warnings[0]
    assert any("left from an earlier deployment" in note for note in report.notes)


def test_samples_of_another_model_leave_no_folder(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    np.savez(tmp_path / "samples" / "a.npz", other=np.zeros(3, np.float32))
    with pytest.raises(ModelError, match=r"a\.npz"):
        onnxopt.deploy(DIGITS, tmp_path / "samples", folder=tmp_path / "out", measure=False)
    assert not (tmp_path / "out").exists()
