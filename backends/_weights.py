"""Hand an in-memory model to ONNX Runtime without copying its weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

APART_FROM = 1024
"""Bytes from which an initializer travels beside the protobuf instead of inside it."""

_PLAIN = frozenset(
    {
        *(ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BOOL),
        *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
        *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
    }
)


def split(model: ir.Model) -> tuple[bytes, dict[str, np.ndarray]]:
    """Serialize a model without its large initializers, which come back as arrays by name.

    The arrays are views of what the model holds: memory maps stay memory maps. The model is the
    same before and after; while the call runs, its large initializers are stand-ins.

    Raises ValueError when what must stay inside is more than a protobuf can hold (2 GB).
    """
    with _stand_ins(model) as apart:
        data = ir.to_proto(model).SerializeToString()
    return data, apart


@contextlib.contextmanager
def _stand_ins(model: ir.Model) -> Iterator[dict[str, np.ndarray]]:
    apart: dict[str, np.ndarray] = {}
    kept: list[tuple[ir.Value, ir.TensorProtocol]] = []
    try:
        for name, value in model.graph.initializers.items():
            tensor = value.const_value
            if tensor is None or tensor.dtype not in _PLAIN or tensor.nbytes < APART_FROM:
                continue
            apart[name] = np.ascontiguousarray(tensor.numpy())
            kept.append((value, tensor))
            value.const_value = ir.ExternalTensor(
                "beside", 0, tensor.nbytes, tensor.dtype, shape=_fixed(tensor), name=name
            )
        yield apart
    finally:
        for value, tensor in kept:
            value.const_value = tensor


def _fixed(tensor: ir.TensorProtocol) -> ir.Shape:
    return ir.Shape([int(size) for size in tensor.shape.numpy()])
