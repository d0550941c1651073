"""Move a model's numbers by their last bits, to see what rounding alone can do to its outputs."""

from __future__ import annotations

import contextlib

import numpy as np
import onnx_ir as ir

from onnxopt.errors import OnnxoptError
from onnxopt.graph import Names

_FEW = 32
"""Weights of fewer elements may be sizes or thresholds, which no rounding moves."""

_MOST = 256 << 20
"""Bytes of weights that are copied to be disturbed."""


def disturbed(array: np.ndarray, eps: float, rng: np.random.Generator) -> np.ndarray:
    """Move the numbers by up to two of their last bits, relative to ``eps``; integers stay."""
    if array.dtype.kind not in "fV" or array.dtype.name.startswith(("int", "uint")):
        return array
    wide = array.astype(np.float64)
    return np.asarray((wide * (1 + 2 * eps * rng.uniform(-1, 1, array.shape))).astype(array.dtype))


def disturb_weights(model: ir.Model, eps: float, rng: np.random.Generator) -> None:
    """Disturb a model's float weights in place, as far as they are not too large to copy."""
    room = _MOST
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or tensor.size < _FEW or not tensor.dtype.is_floating_point():
            continue
        room -= tensor.nbytes
        if room >= 0:
            value.const_value = ir.tensor(
                disturbed(tensor.numpy(), eps, rng), dtype=tensor.dtype, name=value.name
            )


def disturb_values(model: ir.Model, eps: float, rng: np.random.Generator) -> None:
    """Multiply what nodes compute by ``1 + r``, ``|r| <= eps``, as rounding does.

    ``r`` differs along the last axis where its size is known. Values of rank 0 and 1 stay, for they
    may be sizes.
    """
    from onnxopt.shapes import infer

    with contextlib.suppress(OnnxoptError):
        infer(model)
    names = Names(model)
    for node in list(model.graph):
        for value in node.outputs:
            shape, dtype = value.shape, value.dtype
            if shape is None or len(shape) < 2 or value.is_graph_output() or not value.uses():
                continue
            if dtype is not None and dtype.is_floating_point() and dtype.bitwidth >= 16:
                last = shape[-1]
                size = last if isinstance(last, int) else 1
                factor = (1 + eps * rng.uniform(-1, 1, size)).astype(dtype.numpy())
                _multiply(model, value, ir.tensor(factor, name=names.fresh("rounding")))


def _multiply(model: ir.Model, value: ir.Value, factor: ir.TensorProtocol) -> None:
    held = ir.Value(
        name=factor.name,
        const_value=factor,
        type=ir.TensorType(factor.dtype),
        shape=ir.Shape(list(factor.shape.numpy())),
    )
    model.graph.register_initializer(held)
    product = ir.node("Mul", [value, held])
    product.outputs[0].name = f"{factor.name}_product"
    value.replace_all_uses_with(product.outputs[0])
    product.replace_input_with(0, value)
    maker = value.producer()
    if maker is not None:
        model.graph.insert_after(maker, product)
