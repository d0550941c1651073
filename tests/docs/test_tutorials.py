"""The tutorials do what they say: every command and every line of Python in them is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import command
from tests.source import ROOT

DOCS = ROOT / "docs"
command_line = pytest.fixture(command, name="command_line")
MAY_END_WITH = {"diff": (0, 1), "doctor": (0, 1)}
"""The exit statuses that say something of a model or a machine and not of the tutorial."""


def _blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with the repository's examples."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", ["tutorial_command_line.md", "tutorial_before_deployment.md"])
def test_commands_run(page: str, clone: Path, command_line: Any) -> None:
    lines = [line for block in _blocks(page, "console") for line in block.splitlines()]
    assert lines
    for line in lines:
        dollar, program, *arguments = shlex.split(line)
        assert (dollar, program) == ("$", "onnxopt")
        said = command_line(*arguments)
        assert said.status in MAY_END_WITH.get(arguments[0], (0,)), (line, said.err)
        assert said.out


@pytest.mark.parametrize("page", ["tutorial_python.md", "exporting.md"])
def test_python_runs(page: str, clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = _blocks(page, "python")
    if any("import torch" in block for block in blocks):
        pytest.importorskip("torch", reason="torch is not installed")
        pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    names: dict[str, Any] = {"__name__": "tutorial"}
    for block in blocks:
        exec(compile(block, str(DOCS / page), "exec"), names)
    assert capsys.readouterr().out
