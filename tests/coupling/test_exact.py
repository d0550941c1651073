"""Networks as torch exports them: units that are zero leave, the outputs stay."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxopt
from tests.coupling.planted import assert_exact

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
pytest.importorskip("onnxscript", reason="torch exports with onnxscript: pip install onnxscript")

nn: Any = torch.nn


class Residual(nn.Module):  # type: ignore[misc]
    """Two blocks with a shortcut, pooled and classified."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.a, self.norm = nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.b, self.last = nn.Conv2d(12, 8, 3, padding=1), nn.Linear(8 * 4, 5)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.stem(x))
        x = x + self.b(torch.relu(self.norm(self.a(x))))
        return self.last(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


class Fire(nn.Module):  # type: ignore[misc]
    """Two convolutions side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.one = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 1)
        self.three, self.last = nn.Conv2d(6, 7, 3, padding=1), nn.Conv2d(12, 4, 1)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.squeeze(x))
        x = torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], 1)
        return self.last(x).mean((2, 3))


def images() -> Any:
    return torch.randn(2, 3, 8, 8)


NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[], Any], set[int]]] = {
    "residual": (Residual, images, {8, 12}),
    "fire": (Fire, images, {5, 6, 7}),
}
"""The network, its input, and how many units its groups have."""


def export(module: Any, feeds: Any, folder: Path, dynamo: bool) -> Path:
    """Export a network with a free first axis."""
    path = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = ({0: torch.export.Dim.DYNAMIC},)
            torch.onnx.export(
                module, (feeds,), path, dynamo=True, dynamic_shapes=shapes, verbose=False
            )
        else:
            torch.onnx.export(
                module,
                (feeds,),
                path,
                dynamo=False,
                input_names=["x"],
                dynamic_axes={"x": {0: "batch"}},
            )
    return path


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("name", NETWORKS)
def test_zeros_leave(name: str, dynamo: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, inputs, units = NETWORKS[name]
    feeds = inputs()
    path = export(make().eval(), feeds, tmp_path, dynamo)
    model = onnxopt.optimize(path, verify="off")
    groups = assert_exact(model, {model.graph.inputs[0].name or "": np.asarray(feeds)})
    assert {group.units for group in groups} == units
