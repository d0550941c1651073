"""Small graphs with weights given as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir
from onnx import numpy_helper

Array = npt.NDArray[Any]

SEED = 20


def model(text: str, weights: Mapping[str, Array], *, opset: int = 18) -> ir.Model:
    """Read a graph written as ``(float[N,4] x) => (float[N,4] y) { … }`` and add its weights."""
    header = f'<ir_version: 10, opset_import: ["" : {opset}]>\n'
    proto = onnx.parser.parse_model(f"{header}g {text.strip()}")
    for name, array in weights.items():
        if any(name in node.input for node in proto.graph.node):
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def normal(*shape: int) -> Array:
    """Return normally distributed float32 numbers."""
    return np.random.default_rng([SEED, *shape]).standard_normal(shape).astype(np.float32)


def positive(*shape: int) -> Array:
    """Return float32 numbers between 0.5 and 1.5."""
    return np.random.default_rng([SEED, *shape]).uniform(0.5, 1.5, shape).astype(np.float32)


def number(value: float) -> Array:
    """Return a float32 of rank 0."""
    return np.array(value, np.float32)


def ints(*values: int) -> Array:
    """Return a vector of int64."""
    return np.array(values, np.int64)


def statistics(channels: int) -> dict[str, Array]:
    """Return what a BatchNormalization reads after its input: s, t, m and v."""
    return {
        "s": normal(channels),
        "t": normal(channels) + 1,
        "m": normal(channels) - 1,
        "v": positive(channels),
    }
