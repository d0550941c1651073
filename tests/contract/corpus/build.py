"""Models from ONNX's text form, with weights given as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Array = npt.NDArray[Any]

OPSET = 20
NEWEST = 24


def model(
    graph: str,
    weights: Mapping[str, Array] | None = None,
    *,
    opset: int = OPSET,
    ir_version: int = 10,
    domains: Sequence[str] = (),
    functions: str = "",
) -> onnx.ModelProto:
    """Parse ``graph``, the text after the model's header, and add the weights."""
    imports = ", ".join([f'"" : {opset}', *(f'"{domain}" : 1' for domain in domains)])
    header = f"<ir_version: {ir_version}, opset_import: [{imports}]>"
    parsed: onnx.ModelProto = onnx.parser.parse_model(f"{header}\n{graph}\n{functions}")
    for name, array in (weights or {}).items():
        parsed.graph.initializer.append(numpy_helper.from_array(array, name))
    return parsed


def normal(*shape: int, seed: int = 0) -> Array:
    """Return the same normally distributed float32 numbers for the same shape and seed."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def positive(*shape: int, seed: int = 0) -> Array:
    """Return float32 numbers between 0.5 and 1.5, as variances are."""
    return np.random.default_rng([seed, *shape]).uniform(0.5, 1.5, shape).astype(np.float32)


def ints(*values: int) -> Array:
    """Return a vector of int64."""
    return np.array(values, np.int64)


def floats(*values: float) -> Array:
    """Return a vector of float32."""
    return np.array(values, np.float32)


def scalar(value: float) -> Array:
    """Return a float32 of rank 0."""
    return np.array(value, np.float32)


def norm(channels: int, seed: int = 0) -> dict[str, Array]:
    """Return the scale, bias, mean and variance of a BatchNormalization: s, b, m, v."""
    return {
        "s": positive(channels, seed=seed + 1),
        "b": normal(channels, seed=seed + 2),
        "m": normal(channels, seed=seed + 3),
        "v": positive(channels, seed=seed + 4),
    }
