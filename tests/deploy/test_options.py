"""Options of a deployment, and what they change."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxopt
from onnxopt.deployer.report import DeployReport
from tests.cli.command import command
from tests.source import ROOT

DIGITS = ROOT / "examples" / "digits.onnx"
SAMPLES = ROOT / "examples" / "digits_samples"
command_line = pytest.fixture(command, name="command_line")


def test_few_examples_are_told(tmp_path: Path) -> None:
    report = onnxopt.deploy(DIGITS, str(SAMPLES), folder=tmp_path, measure=False, max_drop=1e-4)
    held = report.candidates[2].metrics[0].examples
    assert any(f"{held} examples cannot rule out" in each for each in report.warnings)


def test_a_scheme_is_the_one_that_is_tried(command_line: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"measure": False, "scheme": "int8-portable", "metrics": "top1"}
    options |= {"check_portability": True, "max_drop": 0.02}
    report = onnxopt.deploy(DIGITS, str(SAMPLES), folder=tmp_path, **options)
    assert report.candidates[2].how == "int8-portable"
    (said,) = (text for text in report.candidates[2].remarks if "VNNI" in text)
    assert "nothing saturates" in said
    assert report.command == (
        f"onnxopt deploy {DIGITS} -o {tmp_path} --samples {SAMPLES} --metric top1 "
        "--scheme int8-portable --max-drop 0.02 --check-portability --no-measure"
    )
    compare = next(line for line in report.commands if "quantized.onnx --metric" in line)
    assert "--optimization all" in compare
    assert report.file_bytes[1] == (tmp_path / "model.onnx").stat().st_size
    digest = hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
    assert report.hashes["model"] == {"model.onnx": digest}
    made, again = repeated(command_line, report, tmp_path)
    assert made == again


def test_passes_are_left_out_of_all_that_is_made(tmp_path: Path) -> None:
    options: dict[str, Any] = {"measure": False, "skip_passes": ["raise-opset", "attention"]}
    report = onnxopt.deploy(DIGITS, str(SAMPLES), folder=tmp_path, **options)
    given = onnx.load(DIGITS).opset_import[0].version
    for name in ("optimized", "quantized"):
        assert onnx.load(tmp_path / f"{name}.onnx").opset_import[0].version == given
    assert not any("operator set" in note for note in report.notes)
    said = " ".join(report.commands)
    assert "--skip raise-opset" in said
    assert "--skip-pass raise-opset" in said
    raised = onnxopt.deploy(DIGITS, str(SAMPLES), folder=tmp_path, measure=False)
    assert "optimize" not in raised.reused


def repeated(command_line: Any, report: DeployReport, folder: Path) -> tuple[bytes, bytes]:
    """Return what was quantized, and what the command that the report prints makes of it."""
    made = (folder / "quantized.onnx").read_bytes()
    (line,) = (line for line in report.commands if line.startswith("onnxopt quantize"))
    assert command_line(*shlex.split(line)[1:]).status == 0
    return made, (folder / "quantized.onnx").read_bytes()


def test_layers_that_went_back_for_a_metric_are_those_of_the_command(
    command_line: Any, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"measure": False, "metrics": "noise", "max_drop": 1e-4}
    report = onnxopt.deploy(DIGITS, str(SAMPLES), folder=tmp_path, scheme="int8", **options)
    said = " ".join(report.candidates[2].remarks)
    assert "with all of its layers noise gets worse by" in said
    levels = [float(each) for each in re.findall(r"\(([\d.]+) dB\)", said)]
    assert levels
    assert levels == sorted(levels)
    made, again = repeated(command_line, report, tmp_path)
    assert made == again


def test_layers_that_went_back_for_damage_are_those_of_the_command(
    command_line: Any, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in SAMPLES.iterdir():
        np.savez(plain / path.name, image=np.load(path)["image"])
    cut = "quantize/calibrate{method=percentile, percentile=90}, quantize/static"
    report = onnxopt.deploy(DIGITS, str(plain), folder=tmp_path / "out", scheme=cut, measure=False)
    assert any("nodes back in float" in each for each in report.candidates[2].remarks)
    made, again = repeated(command_line, report, tmp_path / "out")
    assert made == again
