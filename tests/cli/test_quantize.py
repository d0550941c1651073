"""``onnxopt quantize``: what it writes, what it prints and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.command import Command
from tests.contract.corpus.build import model, normal
from tests.quantization.test_static import CHAIN, FILTER


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Return a model with samples beside it."""
    onnx.save(model(CHAIN, FILTER), tmp_path / "model.onnx")
    (tmp_path / "samples").mkdir()
    for at in range(8):
        np.savez(tmp_path / "samples" / f"{at}.npz", x=normal(1, 8, 12, 12, seed=at))
    return tmp_path / "model.onnx"


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_writes_a_quantized_model_and_says_what_was_tried(given: Path, onnxopt: Command) -> None:
    to, samples = given.with_name("int8.onnx"), given.with_name("samples")
    said = onnxopt("quantize", given, "-o", to, "--samples", samples, "--no-measure")
    assert (said.status, said.err) == (0, "")
    assert "DequantizeLinear" in operators(to)
    assert said.out.splitlines()[0].split()[:3] == ["scheme", "layers", "integer"]
    assert "int8: the first that keeps the outputs; nothing was measured" in said.out
    assert "int8-dynamic: not taken, the model has no layer of the kind" in said.out


def test_json_is_all_that_is_printed(given: Path, onnxopt: Command) -> None:
    to, samples = given.with_name("int8.onnx"), given.with_name("samples")
    options = ("--samples", samples, "--no-measure", "--scheme", "int8", "--json")
    said = onnxopt("quantize", given, "-o", to, *options)
    assert json.loads(said.out)["chosen"] == "int8"


def test_without_samples_it_warns(given: Path, onnxopt: Command) -> None:
    said = onnxopt("quantize", given, "-o", given.with_name("q.onnx"), "--no-measure")
    assert said.status == 0
    assert said.error.startswith("warning: no samples: ")


def test_patterns_keep_layers_in_float(given: Path, onnxopt: Command) -> None:
    to, samples = given.with_name("q.onnx"), given.with_name("samples")
    options = ("--samples", samples, "--no-measure", "--skip", "y", "--json")
    said = onnxopt("quantize", given, "-o", to, *options)
    assert json.loads(said.out)["tried"][0]["layers"] == 1


@pytest.mark.parametrize(
    ("options", "status", "error"),
    [
        (("--scheme", "int9"), 2, "error: unknown scheme 'int9', did you mean 'int8'?"),
        (("--target", "cpuu"), 2, "error: unknown target 'cpuu', did you mean 'cpu'?"),
        (("--samples", "nowhere"), 1, "error: nowhere: no such file or folder"),
    ],
)
def test_failures_are_one_line(
    options: tuple[str, ...], status: int, error: str, given: Path, onnxopt: Command
) -> None:
    to = given.with_name("q.onnx")
    said = onnxopt("quantize", given, "-o", to, *options)
    assert said.status == status
    assert said.error.startswith(error)
    assert not to.exists()


def test_a_budget_is_told_and_leaves_what_to_go_on_from(given: Path, onnxopt: Command) -> None:
    to, samples = given.with_name("q.onnx"), given.with_name("samples")
    options = ("--samples", samples, "--no-measure", "--max-drop", "0.5", "--metric", "agreement")
    said = onnxopt("quantize", given, "-o", to, *options, "--scheme", "int8")
    assert said.status == 0
    assert "int8: agreement gets worse by" in said.out
    assert json.loads(given.with_name("q.onnx.search.int8").read_text())["drops"].keys() == {"[]"}


def test_a_metric_without_a_bound_is_an_error(given: Path, onnxopt: Command) -> None:
    said = onnxopt("quantize", given, "-o", given.with_name("q.onnx"), "--metric", "top1")
    assert said.status == 2
    assert "give --max-drop too" in said.err


def test_each_layer_alone_on_console_and_page(given: Path, onnxopt: Command) -> None:
    to, samples, page = (given.with_name(name) for name in ("q.onnx", "samples", "q.html"))
    options = ("--samples", samples, "--scheme", "int8", "--sensitivity", "--html", page)
    said = onnxopt("quantize", given, "-o", to, *options, "--no-measure")
    assert said.status == 0
    [head] = [line for line in said.out.splitlines() if line.startswith("layer alone")]
    assert head.split() == ["layer", "alone", "signal", "saves", "taken"]
    rows = said.out.partition(head)[2].splitlines()[1:3]
    assert {row.split()[0] for row in rows} == {"a", "y"}
    assert all("integer" in row and " dB" in row for row in rows)
    text = page.read_text()
    assert "Layer by layer: int8" in text
    assert "signal over error of the outputs, the layer alone" in text
    assert "quantize/static" in text


def test_what_each_layer_saves_is_measured(given: Path, onnxopt: Command) -> None:
    to, samples, page = (given.with_name(name) for name in ("q.onnx", "samples", "q.html"))
    options = ("--samples", samples, "--scheme", "int8", "--sensitivity", "--html", page)
    said = onnxopt("quantize", given, "-o", to, *options, "--budget", 1, "--json")
    [row] = [row for row in json.loads(said.out)["tried"] if row["scheme"] == "int8"]
    assert all(layer["gain_s"] is not None for layer in row["sensitivity"])
    assert "time saved in a run" in page.read_text()


def test_a_page_that_cannot_be_written_is_told_first(given: Path, onnxopt: Command) -> None:
    page = given.with_name("none") / "q.html"
    said = onnxopt("quantize", given, "-o", given.with_name("q.onnx"), "--html", page)
    assert said.status == 2
    assert not given.with_name("q.onnx").exists()
