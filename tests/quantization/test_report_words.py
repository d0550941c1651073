"""What a quantization says of a metric and of processors that saturate."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from onnxopt.quantizer.report import Portability, Tried
from onnxopt.quantizer.schemes import SCHEMES, scheme_of
from onnxopt.runtimes import opened_since


@pytest.mark.parametrize(
    ("drop", "share", "said"),
    [
        (None, True, ""),
        (0.0, True, "top1 stays as it is"),
        (0.0125, True, "top1 gets worse by 1.25 points"),
        (0.01, True, "top1 gets worse by 1 point"),
        (-0.5, False, "top1 gets better by 0.5"),
        (math.nan, False, "top1 is no number"),
    ],
)
def test_the_fall_of_a_metric(drop: float | None, share: bool, said: str) -> None:
    assert Tried(scheme="int8", metric="top1", drop=drop, share=share).fall() == said


@pytest.mark.parametrize(
    ("scheme", "remedy"),
    [
        ("int8", "int8-portable does not"),
        ("int8-dynamic, in part", "int8-dynamic-portable does not"),
        ("custom", "with portable=true nothing does"),
    ],
)
def test_the_remedy_is_of_the_same_kind(scheme: str, remedy: str) -> None:
    found = Portability(sqnr_db=20.0, agreement=None, touched={"y": 0.5})
    assert found.line(scheme, 30.0, None).endswith(remedy)


@pytest.mark.parametrize(
    ("sqnr_db", "agreement", "said"),
    [
        (30.0, 0.9, "20.0 dB instead of 30.0 dB, agreement 80.0 % instead of 90.0 %"),
        (20.01, 0.8, "20.0 dB, agreement 80.0 %"),
    ],
)
def test_what_is_no_less_is_not_held_against_itself(
    sqnr_db: float, agreement: float, said: str
) -> None:
    found = Portability(sqnr_db=20.0, agreement=0.8, touched={"y": 0.5})
    assert f"without VNNI {said};" in found.line("int8", sqnr_db, agreement)


def test_what_runs_on_samples() -> None:
    reads = {name for name, scheme in SCHEMES.items() if scheme.calibrates}
    assert reads == {"int8", "int8-portable", "int8-ort", "float8", "float16", "bfloat16"}
    assert not scheme_of("quantize/dynamic{per-channel=false}").calibrates
    assert scheme_of("quantize/gptq, quantize/weights{type=uint4}").calibrates


def test_releases_are_those_that_were_found() -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "releases.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["releases"]
    order = sorted(rows, key=lambda name: tuple(map(int, name.split("."))))
    for opset in range(20, max(row["opset"] for row in rows.values()) + 1):
        first = next(name for name in order if rows[name]["opset"] >= opset)
        assert opened_since(opset, 9) == first.rpartition(".")[0]
    for version in range(10, max(row["format"] for row in rows.values()) + 1):
        first = next(name for name in order if rows[name]["format"] >= version)
        assert opened_since(20, version) == max(first.rpartition(".")[0], "1.17")


@pytest.mark.parametrize(
    ("opset", "ir_version", "release"),
    [(20, 8, "1.17"), (20, 10, "1.18"), (23, 11, "1.23"), (17, 8, ""), (99, 11, ""), (20, 99, "")],
)
def test_the_release_that_opens_a_model(opset: int, ir_version: int, release: str) -> None:
    assert opened_since(opset, ir_version) == release
