"""``onnxopt optimize``: what it does, and what it says where it cannot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxopt import graph
from onnxopt.io import load
from tests.cli.command import Command
from tests.passes.tools import random_feeds, run


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_a_model_is_optimized(onnxopt: Command, file: Path) -> None:
    out = file.with_name("out.onnx")
    said = onnxopt("optimize", file, "-o", out)
    assert (said.status, said.err) == (0, "")
    assert operators(out) == ["Mul", "Relu"]
    assert f"{file} -> {out}" in said.out
    assert "outputs equal " in said.out
    assert [line.split() for line in said.out.splitlines() if line.startswith("all nodes")] == [
        ["all", "nodes", "7", "2"]
    ]
    before, after = onnx.load(file), onnx.load(out)
    feeds = random_feeds(before, 3)
    np.testing.assert_allclose(run(after, feeds)["y"], run(before, feeds)["y"], rtol=1e-6)
    assert sorted(os.listdir(file.parent)) == ["model.onnx", "out.onnx"]


def test_a_file_may_be_replaced_by_its_result(onnxopt: Command, file: Path) -> None:
    assert onnxopt("optimize", file, "-o", file).status == 0
    assert operators(file) == ["Mul", "Relu"]


def test_what_an_earlier_run_left_is_named(onnxopt: Command, file: Path) -> None:
    out = file.with_name("out.onnx")
    (file.parent / "out.onnx.data").write_bytes(b"weights")
    (file.parent / "out.onnx.repro").mkdir()
    notes = json.loads(onnxopt("optimize", file, "-o", out, "--json").out)["notes"]
    left = [note.partition(" is of an earlier") for note in notes]
    assert [what for what, earlier, _ in left if earlier] == [
        f"out.onnx does not use {out}.data, which",
        f"{out}.repro",
    ]
    assert {"out.onnx.data", "out.onnx.repro"} <= {*os.listdir(file.parent)}


def test_json(onnxopt: Command, file: Path) -> None:
    said = onnxopt("optimize", file, "-o", file.with_name("out.onnx"), "--json")
    assert said.status == 0
    report = json.loads(said.out)
    assert report["target"] == "cpu"
    assert report["before"]["nodes"] == 7
    assert report["after"]["operators"] == {"Mul": 1, "Relu": 1}
    assert report["verification"]["mode"] == "end"
    assert {"fold-constants", "dce"} <= {each["name"] for each in report["passes"]}


def test_a_pipeline_of_ones_own(onnxopt: Command, file: Path) -> None:
    out = file.with_name("out.onnx")
    said = onnxopt("optimize", file, "-o", out, "-p", "dce, repeat(fold-constants)", "--json")
    assert operators(out) == ["Identity", "Mul", "Dropout", "Relu"]
    assert json.loads(said.out)["pipeline"] == "dce, repeat(fold-constants)"


def test_passes_from_elsewhere(onnxopt: Command, file: Path) -> None:
    out = file.with_name("out.onnx")
    step = "onnx_ir.passes.common:IdentityEliminationPass"
    said = onnxopt("optimize", file, "-o", out, "-p", f"{step}, dce", "--json")
    assert said.status == 0
    assert operators(out) == ["Constant", "Exp", "Mul", "Dropout", "Relu"]
    assert [each["name"] for each in json.loads(said.out)["passes"]] == [step, "dce"]


def test_skipping(onnxopt: Command, file: Path) -> None:
    out = file.with_name("out.onnx")
    skipped = ["--skip", "fold-constants", "--skip", "simplify/identity"]
    assert onnxopt("optimize", file, "-o", out, *skipped).status == 0
    assert {"Exp", "Identity", "Dropout"} <= set(operators(out))
    said = onnxopt("optimize", file, "-o", out, "--skip", "simplfy")
    assert (said.status, said.error) == (
        2,
        "error: unknown pass 'simplfy', did you mean 'simplify'?",
    )


def test_shapes_and_versions(onnxopt: Command, file: Path) -> None:
    out = file.with_name("out.onnx")
    said = onnxopt("optimize", file, "-o", out, "--shape", "x=5,4", "--opset", "21")
    assert said.status == 0
    model = load(out)
    assert graph.static(model.graph.inputs[0]) == graph.static(model.graph.outputs[0]) == (5, 4)
    assert graph.opset(model) == 21


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (["--shape", "z=5,4"], 2, "shape 'z=5,4': expected INPUT=1,3,224,224"),
        (["--shape", "x=5"], 2, "shape 'x=5': input 'x' has 2 dimensions"),
        (["--shape", 'x"=5'], 2, "shape 'x\"=5': expected INPUT=1,3,224,224"),
        (["--shape", "x\\"], 2, "shape 'x\\': expected INPUT=1,3,224,224"),
        (["--opset", "999"], 2, "operator set 999: the newest that the installed onnx knows is"),
        (["--target", "cppu"], 2, "unknown target 'cppu', did you mean 'cpu'?"),
        (["--samples", "no/such/folder"], 1, "no/such/folder"),
    ],
)
def test_what_is_asked_for_is_wrong(
    onnxopt: Command, file: Path, arguments: list[str], status: int, problem: str
) -> None:
    said = onnxopt("optimize", file, "-o", file.with_name("out.onnx"), *arguments)
    assert said.status == status
    assert problem in said.err
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert os.listdir(file.parent) == ["model.onnx"]


@pytest.mark.parametrize(
    ("text", "at", "suggestion"),
    [
        ("dce, fold-constnts", 5, "did you mean 'fold-constants'?"),
        ("repat(dce)", 0, "did you mean 'repeat'?"),
        ("dce{keep-initializer}", 4, "did you mean 'keep-initializers'?"),
    ],
)
def test_an_unknown_pass(onnxopt: Command, file: Path, text: str, at: int, suggestion: str) -> None:
    said = onnxopt("optimize", file, "-o", file.with_name("out.onnx"), "-p", text)
    assert said.status == 2
    first, shown, caret = said.err.splitlines()
    assert first.startswith("error: ")
    assert first.endswith(suggestion)
    assert shown == f"  {text}"
    assert caret.index("^") == at + 2


@pytest.mark.parametrize("mode", ["each", "end", "off"])
def test_verification(onnxopt: Command, file: Path, mode: str) -> None:
    said = onnxopt(
        "optimize", file, "-o", file.with_name("out.onnx"), "--verify", mode, "--strict", "--json"
    )
    assert said.status == 0
    found = json.loads(said.out)["verification"]
    assert found["mode"] == mode
    assert ("outputs equal" in found["statement"]) is (mode != "off")


def test_an_unknown_mode_is_usage(onnxopt: Command, file: Path) -> None:
    said = onnxopt("optimize", file, "-o", file.with_name("o.onnx"), "--verify", "often")
    assert said.status == 2
    assert "each" in said.err


WRONG = '''
"""A pass that is wrong."""
import onnx_ir.passes

class Wrong(onnx_ir.passes.InPlacePass):
    """Relu becomes Abs."""
    def call(self, model):
        for node in model.graph:
            if node.op_type == "Relu":
                node.op_type = "Abs"
                return onnx_ir.passes.PassResult(model, modified=True)
        return onnx_ir.passes.PassResult(model, modified=False)
'''


def test_a_wrong_pass_is_left_out(
    onnxopt: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong_pass.py").write_text(WRONG, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    out = file.with_name("out.onnx")
    asked = ("optimize", file, "-o", out, "-p", "dce, wrong_pass:Wrong, fold-constants")
    said = onnxopt(*asked)
    assert said.status == 0
    assert "left out: wrong_pass:Wrong" in said.out
    assert operators(out)[-1] == "Relu"
    out.unlink()
    said = onnxopt(*asked, "--strict")
    assert said.status == 1
    assert "wrong_pass:Wrong" in said.error
    assert not out.exists()


def test_files_that_cannot_be_read(onnxopt: Command, file: Path) -> None:
    out = file.with_name("out.onnx")
    broken = file.with_name("broken.onnx")
    broken.write_bytes(file.read_bytes()[:-40])
    empty = file.with_name("empty.onnx")
    empty.write_bytes(b"")
    for path in (file.with_name("none.onnx"), broken, empty, file.parent):
        said = onnxopt("optimize", path, "-o", out)
        assert (said.status, said.out) == (1, ""), path
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("error: ")
        assert str(path) in said.err
        assert not out.exists()


def test_results_that_cannot_be_written(onnxopt: Command, file: Path) -> None:
    for path in (file.parent / "no" / "folder" / "out.onnx", file.parent, file / "out.onnx"):
        said = onnxopt("optimize", file, "-o", path)
        assert said.status in (1, 2), path
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("error: ")
    assert os.listdir(file.parent) == ["model.onnx"]
