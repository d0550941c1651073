"""Keras models trained on data that comes with scikit-learn: the same outputs from ONNX."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxopt
from onnxopt.graph import dims
from onnxopt.lossless import reference

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is missing: pip install 'onnxopt[tensorflow]'")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn has the data")


def _digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = datasets.load_digits(return_X_y=True)
    return (images.reshape(-1, 8, 8, 1)[::4] / 16).astype(np.float32), labels[::4]


def _trained(layers: list[Any], shape: tuple[int | None, ...]) -> tuple[Any, np.ndarray]:
    keras.utils.set_random_seed(0)
    images, labels = _digits()
    images = images.reshape(-1, *(8 if size is None else size for size in shape))
    model = keras.Sequential([keras.Input(shape, name="digits"), *layers])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=1, verbose=0)
    return model, images


def _convolutions() -> tuple[Any, np.ndarray]:
    make = keras.layers
    return _trained(
        [
            make.Conv2D(8, 3, padding="same", strides=2),
            make.BatchNormalization(),
            make.ReLU(),
            make.SeparableConv2D(8, 3),
            make.GlobalAveragePooling2D(),
            make.Dropout(0.5),
            make.Dense(10, "softmax"),
        ],
        (8, 8, 1),
    )


def _recurrent() -> tuple[Any, np.ndarray]:
    make = keras.layers
    return _trained([make.Bidirectional(make.LSTM(8)), make.Dense(10, "softmax")], (None, 8))


def _dense() -> tuple[Any, np.ndarray]:
    make = keras.layers
    return _trained(
        [make.Dense(16, "gelu"), make.LayerNormalization(), make.Dense(10, "softmax")], (64,)
    )


@pytest.mark.parametrize("make", [_convolutions, _recurrent, _dense])
def test_equal_to_keras(make: Any) -> None:
    model, images = make()
    exported, report = onnxopt.export_with_report(model)
    assert report.exporter == "tf2onnx"
    assert exported.graph.inputs[0].name == "digits"
    assert (dims(exported.graph.inputs[0]) or ())[0] == "batch"
    found = next(iter(reference()(exported, {"digits": images}).values()))
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert (found.argmax(1) == expected.argmax(1)).all()


def test_files_of_keras_and_tensorflow(tmp_path: Path) -> None:
    model, images = _dense()
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "m.keras")
    model.export(tmp_path / "saved", verbose=False)
    for path in (tmp_path / "m.keras", tmp_path / "saved"):
        exported = onnxopt.export(path)
        (name,) = (value.name or "" for value in exported.graph.inputs)
        found = next(iter(reference()(exported, {name: images}).values()))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_a_function_of_tensorflow() -> None:
    function = tf.function(
        lambda x, y: {"sum": x + y, "product": tf.matmul(x, y, transpose_b=True)}
    )
    exported = onnxopt.export(function, ["x=batch,3", "y=batch,3"])
    x, y = np.ones((4, 3), np.float32), np.full((4, 3), 2, np.float32)
    found = reference()(exported, {"x": x, "y": y})
    np.testing.assert_allclose(found["sum"], x + y)
    np.testing.assert_allclose(found["product"], x @ y.T)
