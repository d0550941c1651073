"""``onnxopt doctor``, on this machine."""

from __future__ import annotations

import json

import pytest

import onnxopt as library
from onnxopt.diagnosis import Diagnosis, Finding
from tests.cli.command import Command

BROKEN = Diagnosis(
    findings=(Finding(topic="CPU", severity="problem", text="it is on fire", remedy="water"),)
)


def test_this_machine_is_looked_at(onnxopt: Command) -> None:
    said = onnxopt("doctor", "--json")
    report = json.loads(said.out)
    assert said.status == int(report["problem"])
    topics = {finding["topic"] for finding in report["findings"]}
    assert {"packages", "versions", "providers", "threads", "storage"} <= topics
    texts = [finding["text"] for finding in report["findings"]]
    assert "CPUExecutionProvider loads and runs nodes" in texts


def test_a_problem_is_an_exit_status(onnxopt: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxopt.diagnosis.diagnose", lambda: BROKEN)
    said = onnxopt("doctor")
    assert said.status == 1
    assert said.out == "CPU\n  problem  it is on fire\n           -> water\n\n1 problem\n"
    assert said.err == ""


def test_it_is_a_function_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxopt.api.diagnose", lambda: BROKEN)
    assert library.doctor().problem
