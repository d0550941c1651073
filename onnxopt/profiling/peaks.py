"""Measured peaks of a machine: what the runtime itself reaches on large products and on streams.

Both are taken from the times that the runtime records for its nodes, like those of the model that
they are held against, on the same threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt.errors import BackendError
from onnxopt.target import Backend, Feeds

_SIDE = 1024
"""Rows and columns of the products."""
_STREAMS = (384 * 1024, 6 * 1024**2, 192 * 1024**2)
"""Bytes that a stream reads and writes: they fit into a core's cache, the shared one, and none."""
_LONGEST_S = 0.3
_LEAST_S = 1e-7
_MOST, _LEAST = 200, 4


class _Product(NamedTuple):
    """How a product is written for a type."""

    operator: str
    left: ir.DataType
    right: ir.DataType
    result: ir.DataType


_PRODUCTS: Mapping[str, _Product] = {
    "float32": _Product("MatMul", *[ir.DataType.FLOAT] * 3),
    "float16": _Product("MatMul", *[ir.DataType.FLOAT16] * 3),
    "bfloat16": _Product("MatMul", *[ir.DataType.BFLOAT16] * 3),
    "int8": _Product("MatMulInteger", ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.INT32),
}


class Stream(NamedTuple):
    """A rate in bytes a second, and the bytes at which it was measured."""

    bytes: float
    rate: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peaks:
    """The best that the runtime reaches here."""

    macs: Mapping[str, float]
    """Multiply-accumulates a second by type: large matrix products; no entry without a kernel."""
    streams: tuple[Stream, ...]
    """Additions of two arrays, of which the working set grows."""

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> Peaks:
        """Make it of what ``dataclasses.asdict`` and JSON have made of another."""
        return cls(macs=read["macs"], streams=tuple(Stream(*each) for each in read["streams"]))

    def bandwidth(self, moved: float) -> float:
        """Return the bytes a second that a node with this working set may hope for.

        Between the sizes that were measured, it is interpolated over their logarithm.
        """
        sizes = np.log([stream.bytes for stream in self.streams])
        rates = [stream.rate for stream in self.streams]
        return float(np.interp(np.log(max(moved, 1.0)), sizes, rates))


def measure_peaks(backend: Backend, folder: Path, charged_s: float) -> Peaks:
    """Measure the peaks of a target on this machine, in two to three seconds.

    ``charged_s`` is what its profiler adds to the time of a node.
    """

    def fastest(model: ir.Model, feeds: Feeds) -> float:
        return _fastest(backend, folder, model, feeds, charged_s)

    macs = {}
    for name, product in _PRODUCTS.items():
        with contextlib.suppress(BackendError):
            macs[name] = _SIDE**3 / fastest(*_product(product))
    streams = tuple(Stream(size, size / fastest(*_sum(size // 12))) for size in _STREAMS)
    return Peaks(macs=macs, streams=streams)


def _fastest(
    backend: Backend, folder: Path, model: ir.Model, feeds: Feeds, charged_s: float
) -> float:
    """Return the seconds that the nodes take in the fastest quarter of the runs, on average."""
    with backend.recording(folder).open(model) as session:
        end = time.perf_counter() + _LONGEST_S
        count = 0
        while count < _LEAST or (count < _MOST and time.perf_counter() < end):
            session.run(feeds)
            count += 1
        times = sorted(
            sum(
                node.device_seconds or max(node.seconds - charged_s, _LEAST_S) for node in run.nodes
            )
            for run in session.recorded()
        )
    return statistics.fmean(times[: max(count // 4, 1)])


def _product(product: _Product) -> tuple[ir.Model, Feeds]:
    """Make a model that multiplies by a constant square matrix, and what to feed it."""
    rng = np.random.default_rng(0)
    left = rng.integers(0, 100, (_SIDE, _SIDE)).astype(product.left.numpy())
    right = rng.integers(-50, 50, (_SIDE, _SIDE)).astype(product.right.numpy())
    weight = _value("w", product.right, [_SIDE, _SIDE])
    weight.const_value = ir.Tensor(right, dtype=product.right, name="w")
    x, y = (
        _value(name, kind, [_SIDE, _SIDE])
        for name, kind in (("x", product.left), ("y", product.result))
    )
    node = ir.Node("", product.operator, [x, weight], outputs=[y], name="product")
    return _model(node, [x], [weight]), {"x": left}


def _sum(elements: int) -> tuple[ir.Model, Feeds]:
    """Make a model that adds two arrays, and what to feed it: twelve bytes an element."""
    x, y, z = (_value(name, ir.DataType.FLOAT, [elements]) for name in "xyz")
    node = ir.Node("", "Add", [x, y], outputs=[z], name="stream")
    ones = np.ones(elements, np.float32)
    return _model(node, [x, y], []), {"x": ones, "y": ones.copy()}


def _value(name: str, kind: ir.DataType, shape: list[int]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(shape))


def _model(node: ir.Node, inputs: list[ir.Value], weights: list[ir.Value]) -> ir.Model:
    graph = ir.Graph(
        inputs,
        node.outputs,
        nodes=[node],
        initializers=weights,
        opset_imports={"": 13},
        name="peak",
    )
    return ir.Model(graph, ir_version=8)
