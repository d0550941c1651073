"""``onnxopt diff``: what it prints, and its exit status, which is that of diff(1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxopt.io import save
from tests.cli.command import Command
from tests.difference.disguise import network, node_of, renamed
from tests.page.reading import Reading


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return a model, the same under other names, and one that is different."""
    paths = tmp_path / "one.onnx", tmp_path / "same.onnx", tmp_path / "other.onnx"
    model = network()
    other = model.clone()
    for layer in (0, 2):
        node = node_of(other, f"active_{layer}")
        node.op_type = "Elu"
        node.attributes.clear()
    for path, each in zip(paths, (model, renamed(model), other), strict=True):
        save(each, path)
    return paths


def test_status_is_that_of_diff(models: tuple[Path, Path, Path], onnxopt: Command) -> None:
    one, same, other = models
    said = onnxopt("diff", one, same)
    assert said.status == 0
    assert "no difference" in said.out
    said = onnxopt("diff", one, other)
    assert said.status == 1
    assert "@@ LeakyRelu -> Elu at 'active_0' (2 times)" in said.out
    assert "+ active_0 = Elu(sum_0)" in said.out
    assert "also at 'active_2'" in said.out
    said = onnxopt("diff", one, one.with_name("missing.onnx"))
    assert said.status == 2
    assert "missing.onnx" in said.error


def test_stat_tells_how_often(models: tuple[Path, Path, Path], onnxopt: Command) -> None:
    said = onnxopt("diff", models[0], models[2], "--stat")
    assert "@@" not in said.out
    assert said.out.splitlines()[-1].split() == ["LeakyRelu", "->", "Elu", "2"]


def test_json_has_every_place(models: tuple[Path, Path, Path], onnxopt: Command) -> None:
    found = json.loads(onnxopt("diff", models[0], models[2], "--json").out)
    assert [hunk["place"] for hunk in found["hunks"]] == ["active_0", "active_2"]
    assert found["equal"] is False


def test_the_page_shows_it(
    models: tuple[Path, Path, Path], tmp_path: Path, onnxopt: Command
) -> None:
    pytest.importorskip("jinja2")
    page = tmp_path / "page.html"
    assert onnxopt("diff", models[0], models[2], "--html", page).status == 1
    words = " ".join(Reading(page.read_text("utf-8")).words)
    assert "LeakyRelu -> Elu" in words
    said = onnxopt("diff", models[0], models[2], "--html", tmp_path / "no" / "page.html")
    assert said.status == 2
