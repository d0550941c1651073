"""The OpenVINO target, which holds the backend protocol to more than one runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt.backends.openvino import Openvino
from onnxopt.errors import BackendError, ModelError
from tests.backends.models import WIDTH, dense_model, single, tensor, weight

pytestmark = pytest.mark.skipif(
    Openvino.unavailable() is not None, reason=str(Openvino.unavailable())
)

X = np.random.default_rng(1).standard_normal((3, WIDTH)).astype(np.float32)


def test_a_path_and_a_model_run_alike(tmp_path: Path) -> None:
    model, path = dense_model(), tmp_path / "m.onnx"
    ir.save(model, path, external_data="m.data")
    for source in (path, model, ir.load(path)):
        with Openvino(threads=1).open(source) as session:
            y = session.run({"x": X})["y"]
            assert list(session.fallbacks()) == []
        np.testing.assert_allclose(y, np.maximum(X @ weight(), 0), rtol=1e-3, atol=1e-4)


def test_outputs_keep_their_names_and_order() -> None:
    x = tensor("x", ir.DataType.FLOAT, (4,))
    parts = [tensor(name, ir.DataType.FLOAT, (2,)) for name in ("left", "right")]
    split = ir.Node("", "Split", [x], [ir.AttrInt64("num_outputs", 2)], outputs=parts)
    with Openvino().open(single(split, [x])) as session:
        got = session.run({"x": np.arange(4, dtype=np.float32)})
        assert list(got) == ["left", "right"]
        np.testing.assert_array_equal(got["right"], [2, 3])
        assert list(session.run({"x": np.zeros(4, np.float32)}, ["right"])) == ["right"]
        with pytest.raises(ModelError, match="no output 'middle'"):
            session.run({"x": np.zeros(4, np.float32)}, ["middle"])


def test_results_outlive_the_next_run() -> None:
    with Openvino().open(dense_model()) as session:
        first = session.run({"x": X})["y"]
        kept = first.copy()
        session.run({"x": X * 0})
    np.testing.assert_array_equal(first, kept)


def test_errors_are_one_line() -> None:
    x = tensor("x", ir.DataType.FLOAT, (1,))
    node = ir.Node("", "Foo", [x], outputs=[tensor("y", ir.DataType.FLOAT, (1,))])
    with pytest.raises(BackendError, match="Foo") as caught:
        Openvino().open(single(node, [x]))
    assert "\n" not in str(caught.value)
    with pytest.raises(BackendError, match="no device 'TPU'"):
        Openvino(device="TPU").open(dense_model())
    with Openvino().open(dense_model()) as session:
        with pytest.raises(ModelError, match="'x' is missing"):
            session.run({})
        with pytest.raises(BackendError, match="incompatible"):
            session.run({"x": X[:, :2]})
