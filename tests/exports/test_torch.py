"""Networks as torch's two exporters write them: equal to torch before and after, at two sizes."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxopt
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


class Masked(nn.Module):  # type: ignore[misc]
    """Padded, causal attention with rotary positions over shared keys; a norm written out."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.scale = nn.Embedding(50, 16), nn.Parameter(torch.ones(16))
        self.mix, self.out = nn.Linear(16, 32), nn.Linear(16, 16)

    def forward(self, ids: Any) -> Any:
        x = self.table(ids)
        batch, length = ids.shape
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        q, k, v = self.mix(x).split((16, 8, 8), dim=-1)
        q, k, v = (t.view(batch, length, -1, 4).transpose(1, 2) for t in (q, k, v))
        angles = torch.arange(length)[:, None] / torch.tensor([1.0, 9.0])
        angles = torch.cat((angles, angles), dim=-1)[None, None]
        q, k = (_turned(t, angles.cos(), angles.sin()) for t in (q, k))
        k, v = (t[:, :, None].expand(-1, -1, 2, -1, -1).flatten(1, 2) for t in (k, v))
        counts = torch.arange(length)
        seen = (ids != 0)[:, None, None] & (counts[None, :] <= counts[:, None])[None, None]
        y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.out(y.transpose(1, 2).reshape(batch, length, 16))


def _turned(x: Any, cos: Any, sin: Any) -> Any:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def _lengths(batch: int) -> Any:
    ids = torch.randint(1, 50, (batch, 9))
    ids[0, 7:] = 0
    return ids


def _images(batch: int) -> Any:
    return torch.randn(batch, 3, 8, 8)


def _tokens(batch: int) -> Any:
    return torch.randint(0, 50, (batch, 9))


def _series(batch: int) -> Any:
    return torch.randn(batch, 5, 6)


def _export(network: Any, example: Any, path: Path, dynamo: bool, opset: int | None = None) -> None:
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
            opset_version=opset,
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
    ("kind", "example"),
    [(Pooled, _images), (Encoder, _tokens), (Recurrent, _series), (Masked, _lengths)],
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


@pytest.mark.parametrize(
    ("kind", "example"),
    [(Pooled, _images), (Encoder, _tokens), (Recurrent, _series)],
)
def test_both_exporters_end_in_the_same_operators(kind: Any, example: Any, tmp_path: Path) -> None:
    network = _settled(kind())
    found = []
    for name, dynamo, opset in (("new", True, None), ("old", False, 17), ("oldest", False, 14)):
        path = tmp_path / f"{name}.onnx"
        _export(network, example(2), path, dynamo, opset)
        model = onnxopt.optimize(path, strict=True)
        found.append(Counter(node.op_type for node in model.graph))
    assert found[0] == found[1] == found[2]
