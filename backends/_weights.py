"""Hand an in-memory model to ONNX Runtime without copying its weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

APART_FROM = 1024
"""Bytes from which an initializer travels beside the protobuf instead of inside it."""

_INSIDE = frozenset(
    {
        *(ir.DataType.STRING, ir.DataType.UNDEFINED),
        *(kind for kind in ir.DataType if kind.name.startswith(("INT2", "UINT2", "INT4", "UINT4"))),
        *(kind for kind in ir.DataType if kind.name.startswith(("FLOAT4", "FLOAT6"))),
        *(kind for kind in ir.DataType if kind.name.startswith(("FLOAT8E8", "COMPLEX"))),
    }
)
"""Types that the runtime takes only inside the protobuf."""


def split(model: ir.Model) -> tuple[bytes, dict[str, np.ndarray]]:
    """Serialize a model without its large initializers, which come back as arrays by name.

    The arrays are views of what the model holds: memory maps stay memory maps. The model is the
    same before and after; while the call runs, its large initializers are stand-ins.

    Raises ValueError when what must stay inside is more than a protobuf can hold (2 GB).
    """
    with _stand_ins(model, apart_from=APART_FROM) as apart:
        return _bytes(model), apart


def whole(model: ir.Model) -> bytes:
    """Serialize a model with all its weights inside; external data is read.

    Raises ValueError above 2 GB.
    """
    with _stand_ins(model, apart_from=None):
        return _bytes(model)


def _bytes(model: ir.Model) -> bytes:
    data: bytes = ir.to_proto(model).SerializeToString()
    return data


@contextlib.contextmanager
def _stand_ins(model: ir.Model, *, apart_from: int | None) -> Iterator[dict[str, np.ndarray]]:
    apart: dict[str, np.ndarray] = {}
    kept: list[tuple[ir.Value, ir.TensorProtocol]] = []
    try:
        for value, top in _initializers(model):
            tensor = value.const_value
            if tensor is None:
                continue
            name = value.name or ""
            if top and apart_from is not None and _large(tensor, apart_from):
                apart[name] = np.ascontiguousarray(tensor.numpy())
                stand_in: ir.TensorProtocol = _elsewhere(tensor, name)
            elif isinstance(tensor, ir.ExternalTensor):
                stand_in = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=name)
            else:
                continue
            kept.append((value, tensor))
            value.const_value = stand_in
        yield apart
    finally:
        for value, tensor in kept:
            value.const_value = tensor


def _initializers(model: ir.Model) -> Iterator[tuple[ir.Value, bool]]:
    """Yield every initializer and whether it lies in the top graph."""
    for value in model.graph.initializers.values():
        yield value, True
    for graph in model.graph.subgraphs():
        for value in graph.initializers.values():
            yield value, False


def _large(tensor: ir.TensorProtocol, apart_from: int) -> bool:
    return tensor.dtype not in _INSIDE and tensor.nbytes >= apart_from


def _elsewhere(tensor: ir.TensorProtocol, name: str) -> ir.ExternalTensor:
    shape = ir.Shape([int(size) for size in tensor.shape.numpy()])
    return ir.ExternalTensor("beside", 0, tensor.nbytes, tensor.dtype, shape=shape, name=name)
