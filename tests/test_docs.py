"""What the documents point at and tell people to type exists."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from onnxopt.pipeline import Pipeline
from tests.source import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = {path.name: path.read_text("utf-8") for path in PAGES}
LINKS = [
    (path, target)
    for path in PAGES
    for target in re.findall(r"\]\(([^)#]+)", TEXTS[path.name])
    if "://" not in target
]
PIPELINES = [
    pipeline
    for text in TEXTS.values()
    for pipeline in re.findall(r"(?:-p |parse\()\"([^\"]+)\"", text)
]
COMMANDS = [
    (command, option)
    for text in TEXTS.values()
    for command, rest in re.findall(r"^\$ onnxopt ([a-z]+)(.*)$", text, re.MULTILINE)
    for option in ["--help", *re.findall(r"(?<= )(--?[a-z][a-z-]*)", rest)]
]


@functools.cache
def _help(command: str) -> str:
    call = [sys.executable, "-m", "onnxopt", command, "--help"]
    return subprocess.run(call, capture_output=True, text=True, cwd=ROOT, check=True).stdout


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda part: str(part).rpartition("/")[2])
def test_links_lead_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


@pytest.mark.parametrize("text", sorted(set(PIPELINES)))
def test_pipelines_parse(text: str) -> None:
    assert str(Pipeline.parse(text)) == text


@pytest.mark.parametrize(("command", "option"), sorted(set(COMMANDS)))
def test_commands_exist(command: str, option: str) -> None:
    assert option in _help(command)
