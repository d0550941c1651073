"""``onnxopt inspect``: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Command


def test_the_most_telling_things(onnxopt: Command, file: Path) -> None:
    said = onnxopt("inspect", file)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"{file}: 7 nodes")
    for text in ("n x 4", "counted at n=", "0 MACs", "activations peak", "operator ", "layer "):
        assert text in said.out


def test_sizes(onnxopt: Command, file: Path) -> None:
    assert "counted at n=9;" in onnxopt("inspect", file, "--shape", "x=9,4").out
    said = onnxopt("inspect", file, "--shape", "x=9,5")
    assert said.status == 2
    assert said.err == "error: shape 'x=9,5': input 'x' has 4 where 5 is given\n"


def test_no_layers(onnxopt: Command, file: Path) -> None:
    assert "layer " not in onnxopt("inspect", file, "--top", 0).out


def test_json(onnxopt: Command, file: Path) -> None:
    found = json.loads(onnxopt("inspect", file, "--json").out)
    assert [port["name"] for port in found["inputs"]] == ["x"]
    assert found["size"]["nodes"] == len(found["layers"]) == 7
    assert {"macs", "ops", "nbytes", "parameters"} <= found["totals"].keys()


def test_a_page(onnxopt: Command, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    said = onnxopt("inspect", file, "--html", page)
    assert said.status == 0
    text = page.read_text("utf-8")
    for part in ("Operators", "Layers", "Memory", "Weights", "Graph", "<svg"):
        assert part in text


def test_a_page_that_cannot_be_written(onnxopt: Command, file: Path, tmp_path: Path) -> None:
    said = onnxopt("inspect", file, "--html", tmp_path / "nowhere" / "page.html")
    assert said.status == 2
    assert said.err.startswith("error: ")
    assert said.out == ""


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_broken_files(onnxopt: Command, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    said = onnxopt("inspect", path)
    assert said.status == 1
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


def test_a_missing_file(onnxopt: Command, tmp_path: Path) -> None:
    said = onnxopt("inspect", tmp_path / "none.onnx")
    assert said.status == 1
    assert said.err.count("\n") == 1
