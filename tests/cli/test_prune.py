"""``onnxopt prune``: what it writes, what it prints and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.command import Command
from tests.contract.corpus.build import model, normal
from tests.pruning.tools import RESIDUAL, RESIDUAL_WEIGHTS, images


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Return a model with samples beside it."""
    onnx.save(model(RESIDUAL, RESIDUAL_WEIGHTS), tmp_path / "model.onnx")
    (tmp_path / "samples").mkdir()
    for at, feeds in enumerate(images(96, 3, 8, 8)):
        np.savez(tmp_path / "samples" / f"{at}.npz", x=feeds["x"])
    return tmp_path / "model.onnx"


def test_writes_a_smaller_model_and_says_what_went(given: Path, onnxopt: Command) -> None:
    to, samples = given.with_name("thin.onnx"), given.with_name("samples")
    said = onnxopt("prune", given, "-o", to, "--macs", "50%", "--samples", samples, "--no-measure")
    assert said.status == 0
    assert said.error.startswith("warning: ")
    head, *rows = said.out.splitlines()
    assert head.split()[:4] == ["channels", "of", "before", "after"]
    assert rows[0].split()[1:2] == ["24"] or rows[1].split()[1:2] == ["24"]
    assert "multiply-adds" in said.out
    onnx.checker.check_model(onnx.load(to), full_check=True)
    assert to.stat().st_size < given.stat().st_size


def test_json_and_page(given: Path, onnxopt: Command) -> None:
    pytest.importorskip("jinja2")
    to, samples, page = (given.with_name(name) for name in ("thin.onnx", "samples", "page.html"))
    options = ("--samples", samples, "--no-measure", "--params", "0.6", "--json", "--html", page)
    found = json.loads(onnxopt("prune", given, "-o", to, *options).out)
    assert found["of"] == "params"
    assert found["left"] <= 0.6 * 1.03
    assert found["reached"]
    assert found["after"]["params"] == pytest.approx(found["left"] * found["before"]["params"])
    text = page.read_text("utf-8")
    assert "Sensitivity" in text
    assert "<svg" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say what is to be left of one amount"),
        (("--macs", "0.5", "--params", "0.5"), "say what is to be left of one amount"),
        (("--macs", "0.5", "--only", "nothing"), "is called 'nothing'"),
        (("--macs", "0.5", "--skip", "*"), "no channels that may go"),
    ],
)
def test_what_cannot_be_done_is_told(
    given: Path, onnxopt: Command, options: tuple[str, ...], said: str
) -> None:
    to = given.with_name("thin.onnx")
    found = onnxopt("prune", given, "-o", to, *options, "--samples", given.with_name("samples"))
    assert found.status in (1, 2)
    assert said in found.error
    assert not to.exists()


def test_shares_are_shares(given: Path, onnxopt: Command) -> None:
    found = onnxopt("prune", given, "-o", given.with_name("thin.onnx"), "--macs", "1.5")
    assert found.status == 2
    assert "no share" in found.err


def test_quantized_models_are_refused(tmp_path: Path, onnxopt: Command) -> None:
    node = helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [
            helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]),
            helper.make_tensor("z", TensorProto.UINT8, [], [128]),
        ],
    )
    onnx.save(helper.make_model(graph), tmp_path / "q.onnx")
    found = onnxopt("prune", tmp_path / "q.onnx", "-o", tmp_path / "p.onnx", "--macs", "0.5")
    assert found.status == 1
    assert "prune the float model that it was made from" in found.error


def test_samples_that_do_not_fit_are_told(given: Path, onnxopt: Command) -> None:
    np.savez(given.with_name("samples") / "0.npz", x=normal(2, 4, 8, 8))
    options = ("--macs", "0.5", "--samples", given.with_name("samples"))
    found = onnxopt("prune", given, "-o", given.with_name("thin.onnx"), *options)
    assert found.status == 1
    assert "input 'x' wants" in found.error
