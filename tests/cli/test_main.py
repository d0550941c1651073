"""The other commands, and what all have in common."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onnxopt import __version__, catalogue
from tests.cli.command import Command


def test_passes(onnxopt: Command) -> None:
    said = onnxopt("passes")
    assert said.status == 0
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines] == list(catalogue.passes())
    assert all(len(line.split()) > 2 for line in lines)
    found = json.loads(onnxopt("passes", "--json").out)
    assert [each["name"] for each in found] == list(catalogue.passes())


def test_one_pass(onnxopt: Command) -> None:
    said = onnxopt("passes", "dce")
    assert said.status == 0
    assert said.out.startswith("dce: ")
    assert "  keep-initializers = false\n" in said.out
    assert "simplify/transpose" in onnxopt("passes", "simplify").out
    assert "fold-constants: " in onnxopt("passes", "fold-constants").out


def test_an_unknown_pass(onnxopt: Command) -> None:
    said = onnxopt("passes", "dec")
    assert (said.status, said.err) == (2, "error: unknown pass 'dec', did you mean 'dce'?\n")


def test_targets(onnxopt: Command) -> None:
    said = onnxopt("targets")
    assert said.status == 0
    assert [line.split()[0] for line in said.out.splitlines()] == list(catalogue.targets())
    assert "cpu" in json.loads(onnxopt("targets", "--json").out)


def test_version(onnxopt: Command) -> None:
    assert onnxopt("--version").out == f"onnxopt {__version__}\n"


@pytest.mark.parametrize("name", ["optimize", "bench", "inspect", "passes", "targets"])
def test_help(onnxopt: Command, name: str) -> None:
    said = onnxopt(name, "--help")
    assert said.status == 0
    assert "Usage: onnxopt" in said.out
    assert name in onnxopt("--help").out


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("optimize",), ("optimize", "a.onnx"), ("--nothing",), ("bench",)]
)
def test_usage(onnxopt: Command, arguments: tuple[str, ...]) -> None:
    said = onnxopt(*arguments)
    assert said.status == 2
    assert said.out == ""
    assert "Usage: onnxopt" in said.err


def test_bench_of_what_is_not_there(onnxopt: Command, file: Path) -> None:
    said = onnxopt("bench", file.with_name("none.onnx"))
    assert (said.status, len(said.err.splitlines())) == (1, 1)
    said = onnxopt("bench", file, "--provider", "nothing")
    assert said.status == 2
    assert said.error.startswith("error: unknown target 'nothing'")
    if catalogue.find_backend("cuda").unavailable() is not None:
        said = onnxopt("bench", file, "--provider", "cuda")
        assert said.status == 1
        assert "install" in said.err


def test_bench_without_what_is_no_model(onnxopt: Command, file: Path) -> None:
    bad = file.with_name("bad.onnx")
    bad.write_text("no model", encoding="utf-8")
    said = onnxopt("bench", file, bad, "--budget", "1s", "--threads", 1)
    assert (said.status, len(said.err.splitlines())) == (1, 1)
    assert "bad.onnx" in said.err
    assert "going on without it" in said.err
    assert f"{file.name} " in said.out
    said = onnxopt("bench", bad, bad)
    assert (said.status, said.out, len(said.err.splitlines())) == (1, "", 1)
    said = onnxopt("bench", file, "--threads", 100_000)
    assert said.status == 2
    assert "give at most" in said.error


@pytest.mark.parametrize("place", ["onnxopt.cli.app", "onnxopt.measure"])
def test_an_interrupt_ends_in_one_word(file: Path, place: str) -> None:
    code = f"""
import sys, types
class Interrupts(types.ModuleType):
    def __getattr__(self, name):
        raise KeyboardInterrupt
sys.modules[{place!r}] = Interrupts({place!r})
sys.argv = ["onnxopt", "bench", {str(file)!r}]
from onnxopt.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_an_interrupted_measurement_is_reported(
    onnxopt: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxopt.measure.run import Measurement

    launch = Measurement._launch

    def interrupted(measurement: Measurement, *rest: Any) -> None:
        launch(measurement, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(Measurement, "_launch", interrupted)
    page, kept = file.with_suffix(".html"), file.with_suffix(".json")
    said = onnxopt("bench", file, "--budget", "1s", "--html", page, "--save", kept)
    assert (said.status, said.err) == (130, "interrupted\n")
    assert "runs, 1 process each" in said.out
    assert ", interrupted" in said.out
    assert "interrupted" in page.read_text(encoding="utf-8")
    assert json.loads(kept.read_text(encoding="utf-8"))["interrupted"]


def test_as_a_module(file: Path) -> None:
    out = file.with_name("out.onnx")
    done = subprocess.run(
        [sys.executable, "-m", "onnxopt", "optimize", str(file), "-o", str(out), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["after"]["nodes"] == 2
    done = subprocess.run(
        [sys.executable, "-m", "onnxopt", "optimize", str(out / "x"), "-o", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
