"""Networks as torch exports them: units that are zero leave, the outputs stay."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxopt
from tests.coupling.planted import assert_exact

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
pytest.importorskip("onnxscript", reason="torch exports with onnxscript: pip install onnxscript")

from tests.coupling.networks import NETWORKS  # noqa: E402


def export(module: Any, feeds: Any, folder: Path, dynamo: bool) -> Path:
    """Export a network with a free first axis."""
    path = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = ({0: torch.export.Dim.DYNAMIC},)
            torch.onnx.export(
                module,
                (feeds,),
                path,
                dynamo=True,
                dynamic_shapes=shapes,
                external_data=False,
                verbose=False,
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


CASES = [(name, False) for name in NETWORKS] + [
    (name, True) for name in ("encoder", "llama", "multihead", "recurrent", "shuffled")
]


@pytest.mark.parametrize(("name", "dynamo"), CASES)
def test_zeros_leave(name: str, dynamo: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]
    feeds = network.feeds()
    path = export(network.make().eval(), feeds, tmp_path, dynamo)
    model = onnxopt.optimize(path, verify="off")
    groups = assert_exact(model, {model.graph.inputs[0].name or "": np.asarray(feeds)})
    assert {group.units for group in groups} == network.units
