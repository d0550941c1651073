"""Torch modules through ``onnxopt.export``: by either exporter, and when one of them errs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxopt
from onnxopt.errors import ModelError, UsageError
from tests.cli.command import command

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
pytest.importorskip("onnxscript", reason="torch exports with onnxscript: pip install onnxscript")

nn: Any = torch.nn
command_line = pytest.fixture(command, name="command_line")


class Pooled(nn.Module):  # type: ignore[misc]
    """Convolution, norm and dropout; a mapping comes back, and one input is optional."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5))
        self.body[1].running_mean.normal_()
        self.last = nn.Linear(8, 5)

    def forward(self, image: Any, scale: Any = None, shift: Any = None) -> dict[str, Any]:
        x = torch.relu(self.body(image)).mean((2, 3))
        x = x if scale is None else x * scale
        x = x if shift is None else x + shift
        return {"logits": self.last(x), "parts": (x, [image])}


class Branch(nn.Module):  # type: ignore[misc]
    """Goes one way or the other, as its numbers say."""

    def forward(self, x: Any) -> Any:
        return x + 1 if x.sum() > 0 else x - 1


class Steps(nn.Module):  # type: ignore[misc]
    """A loop over an axis, which every trace unrolls."""

    def forward(self, x: Any) -> Any:
        y = x[:, 0]
        for at in range(x.shape[1]):
            y = 0.5 * y + x[:, at]
        return y


def build() -> Any:
    """Return what the command line is told of by name."""
    return Pooled()


def _run(model: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from onnxopt.lossless import reference

    return reference()(model, feeds)


@pytest.mark.parametrize("exporter", ["dynamo", "dynamo-unoptimized", "torchscript"])
def test_equal_at_sizes_that_the_export_has_not_seen(exporter: str) -> None:
    module = Pooled().train()
    model, report = onnxopt.export_with_report(
        module,
        {"image": torch.randn(1, 3, 8, 8), "shift": torch.randn(1, 8)},
        dynamic={"image": {0: "batch", 2: "height"}, "shift": {0: "batch"}},
        exporter=exporter,
    )
    assert module.training
    assert module.body[1].training
    assert report.exporter == exporter
    assert [value.name for value in model.graph.inputs] == ["image", "shift"]
    assert [value.name for value in model.graph.outputs] == ["logits", "parts.0", "parts.1.0"]
    feeds = {"image": torch.randn(5, 3, 11, 8), "shift": torch.randn(5, 8)}
    expected = module.eval()(**feeds)
    found = _run(model, {name: tensor.numpy() for name, tensor in feeds.items()})
    np.testing.assert_allclose(found["logits"], expected["logits"].detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["parts.1.0"], feeds["image"])


def test_nothing_of_the_source_is_left_in_the_file(tmp_path: Path) -> None:
    model = onnxopt.export(Pooled(), "image=batch,3,8,8")
    onnxopt.save(model, tmp_path / "m.onnx")
    data = (tmp_path / "m.onnx").read_bytes()
    assert b"test_torch_door" not in data
    assert b"wrapped." not in data


def test_the_exporters_own_optimizer_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.onnx.export

    def faulty(*arguments: Any, **options: Any) -> Any:
        program = real(*arguments, **options)
        if options.get("optimize"):
            for value in program.model.graph.initializers.values():
                if value.const_value.size == 8:  # the bias that a norm was folded into
                    value.const_value = ir.tensor(np.zeros(8, np.float32), name=value.name)
        return program

    monkeypatch.setattr(torch.onnx, "export", faulty)
    _, report = onnxopt.export_with_report(Pooled(), "image=batch,3,8,8")
    assert report.exporter == "dynamo-unoptimized"
    assert "computes something else" in (report.attempts[0].refused or "")


def test_what_no_exporter_can_write_is_refused_with_the_reason() -> None:
    with pytest.raises(ModelError, match=r"data-dependent.*signs changed"):
        onnxopt.export(Branch(), torch.ones(2, 3))
    with pytest.raises(ModelError, match="the size of 'steps' is baked in"):
        onnxopt.export(Steps(), "x=batch,steps,4")
    fixed = onnxopt.export(Steps(), "x=batch,5,4")
    assert fixed.graph.inputs[0].shape == ("batch", 5, 4)


def test_inputs_that_forward_does_not_take() -> None:
    with pytest.raises(UsageError, match="did you mean 'image'"):
        onnxopt.export(Pooled(), "imag=1,3,8,8")
    with pytest.raises(UsageError, match="needs an input 'image'"):
        onnxopt.export(Pooled(), "scale=1,8")
    with pytest.raises(ModelError, match="expected input"):
        onnxopt.export(Pooled(), "image=1,4,8,8")


def test_a_table_of_unknown_length_gets_ids_that_it_has() -> None:
    model = onnxopt.export(nn.Embedding(5, 3), "input:int64=batch,tokens", outputs="vectors")
    assert [value.name for value in model.graph.outputs] == ["vectors"]


def test_the_command_writes_and_tells(command_line: Any, tmp_path: Path) -> None:
    spec = f"torch:{__name__}:build"
    target = tmp_path / "m.onnx"
    said = command_line("export", spec, "--input", "image=batch,3,8,8", "-o", target)
    assert said.status == 0, said.err
    assert "by dynamo" in said.out
    assert "other sizes (batch=3): equal" in said.out
    onnx.checker.check_model(onnx.load(target), full_check=True)
    said = command_line("export", "torch:no.such:build", "-o", target)
    assert (said.status, "cannot be imported" in said.error) == (2, True)
    (tmp_path / "weights.pt").write_bytes(b"")
    said = command_line("export", tmp_path / "weights.pt", "-o", target)
    assert (said.status, "can run any code" in said.error) == (1, True)
