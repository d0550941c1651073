"""What a deployment says, and the code that opens what it made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from onnxopt.deployer.report import Candidate, Opening
from onnxopt.deployer.ways import confirmed, plain_code
from onnxopt.deployer.words import over_budget, undecided
from tests.source import ROOT

DIGITS = ROOT / "examples" / "digits.onnx"


@pytest.mark.parametrize("text", ["cpu", "cpu{threads=1}", "cpu{spinning=false}"])
def test_the_code_for_the_runtime_alone_opens_it(text: str) -> None:
    found: dict[str, Any] = {}
    exec(plain_code(str(DIGITS), text), found)
    assert found["session"].get_inputs()[0].name == "image"
    assert found["options"].intra_op_num_threads == (1 if "threads" in text else 0)
    assert plain_code(str(DIGITS), "cpu{arena=false}") == ""


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
    stages = {"quantize": 40.0, "candidates": None, "ways to open": 21.0, "optimize": 99.0}
    (text,) = over_budget(stages, 20.0)
    assert "quantize 40 s;" in text
    assert over_budget({"quantize": 25.0}, 20.0) == []
