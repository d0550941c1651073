"""What a deployment says, and the code that opens what it made."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

import onnxopt
from onnxopt.deployer.choice import left_behind
from onnxopt.deployer.code import plain_code
from onnxopt.deployer.exactness import Rests
from onnxopt.deployer.held import Held
from onnxopt.deployer.report import Candidate, DeployReport, Opening
from onnxopt.deployer.timing import with_times
from onnxopt.deployer.ways import confirmed
from onnxopt.deployer.words import opens, over_budget, undecided
from onnxopt.samples import Samples
from tests.contract.corpus.build import model
from tests.source import ROOT

DIGITS = ROOT / "examples" / "digits.onnx"


@pytest.mark.parametrize("text", ["cpu", "cpu{threads=1}", "cpu{spinning=false}"])
def test_the_code_for_the_runtime_alone_opens_it(text: str) -> None:
    found: dict[str, Any] = {"onnxruntime": onnxruntime}
    *options, opened = plain_code(str(DIGITS), text)
    exec("\n".join([*options, f"session = {opened}"]), found)
    assert found["session"].get_inputs()[0].name == "image"
    given = found["session"].get_session_options()
    assert given.intra_op_num_threads == (1 if "threads" in text else 0)
    assert bool(options) == (text != "cpu")
    assert plain_code(str(DIGITS), "cpu{arena=false}") == []


def test_a_table_says_how_it_was_measured() -> None:
    given = Candidate(
        label="given", file="a.onnx", nodes=1, weight_bytes=1, noise=(1.0, 0.97, 1.02)
    )
    best = dataclasses.replace(
        given,
        label="quantized",
        noise=None,
        outcome="faster",
        ratio=(0.53, 0.48, 0.58),
        chosen_for=(0.55, 0.5, 0.58),
        second=(0.51, 0.48, 0.54),
    )
    report = made_of(given, best)
    said = report.legend()
    assert "quantized one was measured twice: 0.550 (0.500 to 0.580) with the others" in said
    assert "0.510 (0.480 to 0.540) by itself" in said
    third = dataclasses.replace(best, quantizing=(0.6, 0.55, 0.65))
    assert "0.600 (0.550 to 0.650) while quantizing, 0.550 (" in made_of(given, third).legend()
    (row,) = with_times([third], {"rows": {"quantized": ROW}, "noise": None})
    assert row.ratio == pytest.approx(((0.6 * 0.55 * 0.51) ** (1 / 3), 0.48, 0.65))
    told = (0.9, 0.7, 1.1)
    (row,) = with_times(
        [dataclasses.replace(third, quantizing=told)], {"rows": {"quantized": ROW}, "noise": None}
    )
    assert (row.ratio, row.quantizing) == ((0.53, 0.48, 0.58), None)
    undecided_one = dataclasses.replace(best, outcome="same")
    assert "measured twice" not in made_of(given, undecided_one).legend()
    assert "given one beside itself reads 0.970 to 1.020" in said
    assert 'run({"ids": …, "mask": …})' in str(report)
    assert "(while measuring: candidates)" in " ".join(str(report).split())
    assert "measured twice" not in made_of(given).legend()
    other = dataclasses.replace(best, label="optimized", chosen_for=None)
    (text,) = left_behind([given, best, other], "optimized", measured=True)
    assert text.endswith("the optimized one: 0.550 beside 0.530 of the given one's time")


ROW = {
    "median_s": 1e-3,
    "beside_s": 2e-3,
    "ratio": [0.53, 0.48, 0.58],
    "chosen_for": [0.55, 0.5, 0.58],
    "second": [0.51, 0.48, 0.54],
    "open_s": 0.01,
    "peak_bytes": 1,
    "outcome": "faster",
    "verdict": "faster by 47.0 %",
    "refused": None,
}


def made_of(*candidates: Candidate) -> DeployReport:
    return DeployReport(
        source="a.onnx",
        target="cpu",
        model="out/model.onnx",
        chosen=candidates[-1].label,
        why="faster",
        candidates=candidates,
        inputs=("ids", "mask"),
        session="cpu",
        session_why="the default",
        ways=(),
        shipped=(),
        export={},
        not_taken=(),
        command="onnxopt deploy a.onnx -o out",
        tries_all=True,
        hashes={},
        file_bytes=(200, 100),
        commands=("onnxopt quantize a.onnx --scheme int8",),
        warnings=(),
        measurement=("candidates: block medians vary by more than 20 %: given",),
        notes=[],
        stages={},
        host="a machine",
        seconds=1.0,
    )


def test_what_was_not_calibrated_is_scored_on_all() -> None:
    samples = Samples.from_path(
        ROOT / "examples" / "digits_samples", onnxopt.load(DIGITS).graph.inputs
    )
    held = Held(samples, DIGITS, (), 0)
    every, back = (held.judged(calibrated=each) for each in (False, True))
    assert every is not None
    assert back is not None
    count = sum(1 for _ in every.labelled())
    assert count == samples.count
    assert sum(1 for _ in back.labelled()) == len(range(1, count, 4))
    texts = [
        Rests(calibrated=c, single=s, layers=1).samples
        for c, s in ((False, False), (True, False), (True, True))
    ]
    assert texts == [
        "(nothing was calibrated), run as in use",
        "that calibration did not see, run as in use",
        "that calibration saw too, run as in use",
    ]


def test_what_was_not_decided_is_a_warning() -> None:
    assert undecided([]) == []
    assert "int8 read 0.50" in undecided(["int8 read 0.50 of the given one's time"])[0]


def test_a_way_that_does_not_confirm_is_not_taken() -> None:
    first = Candidate(label="given", file="", nodes=1, weight_bytes=1)
    chosen = dataclasses.replace(first, label="quantized", ratio=(0.5, 0.4, 0.6))
    shipped = Opening(target="cpu{threads=1}", means="", ratio=(0.6, 0.5, 0.7))
    assert not confirmed([shipped], [first, chosen], "quantized")
    better = dataclasses.replace(shipped, ratio=(0.4, 0.3, 0.5))
    assert confirmed([better], [first, chosen], "quantized")
    assert confirmed([], [first, chosen], "quantized")


def test_measurements_beyond_the_budget_are_told_by_name() -> None:
    stages = {"quantize": 40.0, "candidates": None, "ways to open": 41.0, "as it ships": 21.0}
    (text,) = over_budget(stages, 20.0)
    assert "--budget: ways to open 41 s;" in text
    assert over_budget({"quantize": 40.0}, 20.0) == []


def test_which_release_opens_a_file_is_told(tmp_path: Path) -> None:
    onnx.save(model("g (float[n] x) => (float[n] y) { y = Gelu(x) }"), tmp_path / "a.onnx")
    (text,) = opens(tmp_path / "a.onnx", "cpu")
    assert "ONNX Runtime opens the file from 1.18 on (operator set 20, IR 10)" in text
    assert f"; here it was run by {onnxruntime.__version__} alone" in text
    assert opens(tmp_path / "a.onnx", "openvino") == []
