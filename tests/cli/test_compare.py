"""``onnxopt compare``: what it prints, its page and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt.io import save
from tests.cli.command import Command
from tests.difference.disguise import network
from tests.page.reading import Reading


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """Return a model and one with a wrong weight, with labelled samples beside them."""
    paths = tmp_path / "one.onnx", tmp_path / "other.onnx"
    model, other = network(), network()
    held = other.graph.initializers["w_1"]
    assert held.const_value is not None
    held.const_value = ir.tensor(held.const_value.numpy() * np.float32(1.01), name="w_1")
    for path, each in zip(paths, (model, other), strict=True):
        save(each, path)
    (tmp_path / "samples").mkdir()
    rng = np.random.default_rng(0)
    for at in range(5):
        x = rng.normal(size=(4, 8)).astype(np.float32)
        np.savez(tmp_path / "samples" / f"{at}.npz", x=x, label=rng.integers(0, 8, 4))
    return paths


def test_status_says_whether_they_agree(models: tuple[Path, Path], onnxopt: Command) -> None:
    one, other = models
    samples = one.with_name("samples")
    said = onnxopt("compare", one, one, "--samples", samples)
    assert said.status == 0
    assert said.out.startswith("the same to the bit, on 5 samples")
    said = onnxopt("compare", one, other, "--samples", samples)
    assert said.status == 1
    assert "differs by" in said.out
    assert "top-1" in said.out
    assert onnxopt("compare", one, other, "--min-sqnr", 20).status == 0
    assert onnxopt("compare", one, other, "--min-sqnr", 90).status == 1
    assert onnxopt("compare", one, other, "--tolerance", 1).status == 0


def test_a_fault_is_no_answer(models: tuple[Path, Path], tmp_path: Path, onnxopt: Command) -> None:
    one, other = models
    assert onnxopt("compare", one, other, "--metric", "top2").status == 2
    assert onnxopt("compare", one, other, "--max-drop", 0.1).status == 2
    assert onnxopt("compare", one, other, "--provider", "nowhere").status == 2
    assert onnxopt("compare", one, other, "--optimization", "some").status == 2
    assert onnxopt("compare", one, other, "--max-drop", -0.1).status == 2
    lost = onnxopt("compare", one, other, "--output", "nowhere")
    assert (lost.status, "has no output 'nowhere'" in lost.err) == (2, True)
    assert onnxopt("compare", one, tmp_path / "missing.onnx").status == 2
    assert onnxopt("compare", one, other, "--samples", tmp_path / "missing").status == 2


def test_layers_json_and_page(models: tuple[Path, Path], onnxopt: Command) -> None:
    one, other = models
    said = onnxopt("compare", one, other, "--layers")
    assert "they part at 'product_1' (MatMul)" in said.out
    assert "made up" in said.out
    found = json.loads(onnxopt("compare", one, other, "--layers", "--json").out)
    assert found["within"] is False
    assert found["parting"]["layers"][0]["sqnr"] is None
    pytest.importorskip("matplotlib")
    page = one.with_name("page.html")
    assert onnxopt("compare", one, other, "--layers", "--html", page).status == 1
    words = " ".join(Reading(page.read_text("utf-8")).words)
    assert "they part at 'product_1'" in words
