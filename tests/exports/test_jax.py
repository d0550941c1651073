"""Functions of JAX and modules of Flax, fitted to data of scikit-learn: the same from ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxopt
from onnxopt.errors import ModelError, OnnxoptError
from onnxopt.lossless import reference

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'onnxopt[jax]'")
pytest.importorskip("jax2onnx", reason="jax2onnx is not installed")
datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn has the data")

jnp: Any = jax.numpy


def _digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = datasets.load_digits(return_X_y=True)
    return (images[::4] / 16).astype(np.float32), labels[::4]


def _fitted(predict: Any, parameters: Any) -> tuple[Any, np.ndarray]:
    """Take some steps down the slope of the cross entropy; return the function with its weights."""
    images, labels = _digits()

    def loss(parameters: Any) -> Any:
        scores = jax.nn.log_softmax(predict(parameters, images))
        return -scores[jnp.arange(len(labels)), labels].mean()

    step = jax.jit(jax.grad(loss))
    for _ in range(20):
        slope = step(parameters)
        parameters = jax.tree_util.tree_map(lambda p, g: p - 0.3 * g, parameters, slope)
    return jax.jit(lambda x: predict(parameters, x)), images


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 0.2, shape).astype(np.float32)


def _linear() -> tuple[Any, np.ndarray]:
    return _fitted(lambda p, x: x @ p[0] + p[1], (_weights(64, 10), _weights(10)))


def _layers() -> tuple[Any, np.ndarray]:
    def predict(p: Any, x: Any) -> Any:
        h = jax.nn.gelu(x @ p[0])
        h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)
        return h @ p[1]

    return _fitted(predict, (_weights(64, 32), _weights(32, 10)))


def _convolved() -> tuple[Any, np.ndarray]:
    def predict(p: Any, x: Any) -> Any:
        h = jax.lax.conv(x.reshape(-1, 1, 8, 8), p[0], (2, 2), "SAME")
        return jax.nn.relu(h).reshape(x.shape[0], -1) @ p[1]

    return _fitted(predict, (_weights(4, 1, 3, 3), _weights(64, 10)))


@pytest.mark.parametrize("make", [_linear, _layers, _convolved])
def test_equal_to_jax(make: Any) -> None:
    function, images = make()
    exported, report = onnxopt.export_with_report(function, "x=batch,64")
    assert report.exporter == "jax2onnx"
    assert exported.graph.inputs[0].shape == ("batch", 64)
    found = reference()(exported, {"x": images})["output"]
    expected = np.asarray(function(images))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert (found.argmax(1) == expected.argmax(1)).all()


def test_a_module_of_flax() -> None:
    nnx = pytest.importorskip("flax.nnx", reason="Flax is not installed")
    module = nnx.Linear(6, 4, rngs=nnx.Rngs(0))
    exported = onnxopt.export(module, np.ones((2, 6), np.float32), outputs=["y"])
    x = np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 6)
    (name,) = (value.name or "" for value in exported.graph.inputs)
    found = reference()(exported, {name: x})["y"]
    np.testing.assert_allclose(found, np.asarray(module(x)), rtol=1e-5, atol=1e-6)


def test_several_outputs_and_whole_numbers() -> None:
    def function(ids: Any, table: Any) -> Any:
        return {"rows": table[ids], "sum": table.sum(0)}

    exported = onnxopt.export(jax.jit(function), ["ids:int32=batch", "table=5,3"])
    table = np.arange(15, dtype=np.float32).reshape(5, 3)
    found = reference()(exported, {"ids": np.array([4, 0, 2], np.int32), "table": table})
    np.testing.assert_allclose(found["rows"], table[[4, 0, 2]])


def test_what_wraps_a_function_stays() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    model = onnxopt.export(jax.jit(jax.vmap(lambda x: (x * x).sum())), rows)
    (found,) = reference()(model, {model.graph.inputs[0].name or "": rows}).values()
    np.testing.assert_allclose(found, (rows * rows).sum(axis=1), rtol=1e-6)


def test_what_is_no_function() -> None:
    with pytest.raises(ModelError, match="is no function"):
        onnxopt.export(jnp.ones(3))


def test_inputs_go_by_their_names() -> None:
    def minus(x: Any, y: Any) -> Any:
        return x - y

    a, b = np.ones((1, 4), np.float32), np.full((1, 4), 3, np.float32)
    model = onnxopt.export(jax.jit(minus), {"y": b, "x": a})
    np.testing.assert_array_equal(reference()(model, {"x": a, "y": b})["output"], a - b)
    with pytest.raises(OnnxoptError, match="has no input 'z'"):
        onnxopt.export(jax.jit(minus), {"x": a, "z": b})


def test_doubles_are_taken_as_what_jax_computes_in() -> None:
    def double(x: Any) -> Any:
        return 2 * x

    _, report = onnxopt.export_with_report(jax.jit(double), {"x": np.ones((2, 3))})
    assert report.inputs == ("x=2,3",)
