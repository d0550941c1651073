"""``onnxopt profile``: what it says, and what it says where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Command

QUICK = ("--threads", 1, "--runs", 8, "--budget", 1, "--no-peaks")


def test_a_profile(onnxopt: Command, file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    said = onnxopt("profile", file, *QUICK, "--json")
    assert (said.status, said.err) == (0, "")
    (model,) = json.loads(said.out)["models"]
    assert "Mul" in {row["op_type"] for row in model["nodes"]}
    assert model["backend"] == "cpu{threads=1}"
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    said = onnxopt("profile", file, *QUICK, "--top", 1, "--html", page)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"{file.name} on cpu{{threads=1}}: ")
    assert "more, " in said.out
    assert "note: the inputs are made up: x float32[" in said.out
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (["--provider", "cppu"], 2, "unknown target 'cppu'"),
        (["--threads", 100_000], 2, "give at most"),
        (["--samples", "no/such/folder"], 1, "no/such/folder"),
        (["--html", "no/such/folder/page.html"], 2, "no/such/folder"),
        (["--runs", 2], 2, "--runs"),
        (["--budget", "0.5s"], 2, "below one second"),
        (["--shape", "x=1,3", "--shape", "x=2,3"], 2, "each input's shape once"),
    ],
)
def test_what_is_asked_for_is_wrong(
    onnxopt: Command, file: Path, arguments: list[object], status: int, problem: str
) -> None:
    said = onnxopt("profile", file, *arguments)
    assert (said.status, said.out) == (status, "")
    assert problem in said.err


def test_models_at_fault(onnxopt: Command, file: Path) -> None:
    broken = file.with_name("broken.onnx")
    broken.write_bytes(b"this is no model")
    for models in ((broken,), (file, broken), (file.with_name("none.onnx"),)):
        said = onnxopt("profile", *models)
        assert (said.status, said.out) == (1, "")
        assert len(said.err.splitlines()) == 1


def test_an_interrupted_profile_is_reported(
    onnxopt: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxopt.profiling.record import Recording

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recording, "launch", interrupted)
    said = onnxopt("profile", file, *QUICK)
    assert (said.status, said.err) == (130, "interrupted\n")
    assert "nothing was recorded" in said.out
    assert ", interrupted" in said.out
