"""Networks as torch's two exporters write them: equal to torch before and after, at two sizes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnxopt.cli.optimize import optimize

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
pytest.importorskip("onnxscript", reason="torch exports with onnxscript: pip install onnxscript")

nn: Any = torch.nn


class Pooled(nn.Module):  # type: ignore[misc]
    """Padded, normalized convolutions, then a reshape whose size is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, groups=4, padding=1), nn.BatchNorm2d(8))
        self.last = nn.Linear(8 * 8 * 8, 5)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.first(x))
        x = x + nn.functional.hardswish(self.second(x))
        return self.last(x.view(x.size(0), -1))


class Encoder(nn.Module):  # type: ignore[misc]
    """Attention written out, Gelu and norms, over an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.mix, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.norm, self.wide, self.narrow = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, ids: Any) -> Any:
        x = self.table(ids)
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, 2, 8).transpose(1, 2) for part in self.mix(x).chunk(3, dim=-1)
        )
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = self.norm(x + self.out(y.transpose(1, 2).reshape(batch, length, 16)))
        return x + self.narrow(nn.functional.gelu(self.wide(x)))


class Recurrent(nn.Module):  # type: ignore[misc]
    """An LSTM of which only the last state is used."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 7, batch_first=True, bidirectional=True)
        self.last = nn.Linear(14, 3)

    def forward(self, x: Any) -> Any:
        return self.last(self.rnn(x)[0][:, -1])


def _images(batch: int) -> Any:
    return torch.randn(batch, 3, 8, 8)


def _tokens(batch: int) -> Any:
    return torch.randint(0, 50, (batch, 9))


def _series(batch: int) -> Any:
    return torch.randn(batch, 5, 6)


def _export(network: Any, example: Any, path: Path, dynamo: bool) -> None:
    dynamic: dict[str, Any] = {"dynamic_axes": {"x": {0: "batch"}, "y": {0: "batch"}}}
    if dynamo:
        dynamic = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["x"],
            output_names=["y"],
            dynamo=dynamo,
            **dynamic,
        )


def _settled(network: Any) -> Any:
    """Return the network with nothing left at 0 or 1, which an optimizer might rightly delete."""
    torch.manual_seed(0)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand_like(tensor) * 0.5 + 0.25
    return network.eval()


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize(
    ("kind", "example"), [(Pooled, _images), (Encoder, _tokens), (Recurrent, _series)]
)
def test_equal_to_torch_at_two_sizes(kind: Any, example: Any, dynamo: bool, tmp_path: Path) -> None:
    network = _settled(kind())
    source, target = tmp_path / "in.onnx", tmp_path / "out.onnx"
    _export(network, example(2), source, dynamo)
    optimize(source, target, strict=True, as_json=True)
    before, after = onnx.load(source), onnx.load(target)
    onnx.checker.check_model(after, full_check=True)
    assert [value.name for value in after.graph.input] == [v.name for v in before.graph.input]
    outputs = [[(v.name, v.type) for v in model.graph.output] for model in (before, after)]
    assert outputs[0] == outputs[1]
    assert len(after.graph.node) <= len(before.graph.node)
    session = ort.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    for batch in (2, 3):
        fed = example(batch)
        (found,) = session.run(None, {before.graph.input[0].name: fed.numpy()})
        expected = network(fed).detach().numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
