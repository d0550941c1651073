"""Hand an in-memory model to ONNX Runtime without copying its weights."""

from __future__ import annotations

import collections
import dataclasses
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxopt.errors import BackendError

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """A model in the form in which the runtime copies the least."""

    proto: bytes
    """The protobuf, with references to the weights that lie elsewhere."""
    beside: Mapping[str, np.ndarray]
    """Weights in memory by name, as views of what the model holds."""
    folder: Path | None
    """Where the files lie that the protobuf refers to; the runtime maps them into memory."""


def split(model: ir.Model) -> Parts:
    """Serialize a model without its large initializers.

    The model is the same before and after; while the call runs, stand-ins take the place of its
    large initializers.

    Raises BackendError when what must stay inside is more than a protobuf can hold (2 GB).
    """
    folder = _folder(model)
    beside: dict[str, np.ndarray] = {}

    def stand_in(tensor: ir.TensorProtocol, name: str, top: bool) -> ir.TensorProtocol | None:
        if top and folder is not None and _lies_in(tensor, folder):
            return None
        if top and tensor.dtype not in _INSIDE and tensor.nbytes >= APART_FROM:
            beside[name] = np.ascontiguousarray(tensor.numpy())
            return _elsewhere(tensor, name)
        return _inside(tensor, name)

    return Parts(proto=_serialize(model, stand_in), beside=beside, folder=folder)


def whole(model: ir.Model) -> bytes:
    """Serialize a model with all its weights inside; external data is read.

    Raises BackendError above 2 GB.
    """
    return _serialize(model, lambda tensor, name, _: _inside(tensor, name))


def _serialize(
    model: ir.Model, stand_in: Callable[[ir.TensorProtocol, str, bool], ir.TensorProtocol | None]
) -> bytes:
    kept: list[tuple[ir.Value, ir.TensorProtocol]] = []
    try:
        for value, top in _initializers(model):
            tensor = value.const_value
            if tensor is None:
                continue
            name = value.name or ""
            if _matters(value):
                other = stand_in(tensor, name, top)
            else:
                other = ir.tensor(np.zeros(0, np.float32), name=name)
            if other is not None:
                kept.append((value, tensor))
                value.const_value = other
        data: bytes = ir.to_proto(model).SerializeToString()
    except importlib.import_module("google.protobuf.message").EncodeError as error:
        raise BackendError(
            f"'{model.graph.name}' does not fit in a protobuf (2 GB): "
            "save it with external data and open the file"
        ) from error
    finally:
        for value, tensor in kept:
            value.const_value = tensor
    return data


def _matters(value: ir.Value) -> bool:
    """Return whether anything reads an initializer; the runtime drops one that nothing reads."""
    return bool(value.uses()) or value.is_graph_output() or value.is_graph_input()


def _initializers(model: ir.Model) -> Iterator[tuple[ir.Value, bool]]:
    """Yield every initializer and whether it lies in the top graph."""
    for value in model.graph.initializers.values():
        yield value, True
    for graph in model.graph.subgraphs():
        for value in graph.initializers.values():
            yield value, False


def _folder(model: ir.Model) -> Path | None:
    """Return the folder that holds most of the external weights."""
    tensors = [value.const_value for value in model.graph.initializers.values()]
    stored = [tensor for tensor in tensors if isinstance(tensor, ir.ExternalTensor)]
    sizes: collections.Counter[str] = collections.Counter()
    for tensor in stored:
        sizes[os.fspath(tensor.base_dir)] += tensor.nbytes
    found = next((name for name, _ in sizes.most_common(1)), "")
    return Path(found) if found else None


def _lies_in(tensor: ir.TensorProtocol, folder: Path) -> bool:
    return isinstance(tensor, ir.ExternalTensor) and Path(tensor.base_dir) == folder


def _elsewhere(tensor: ir.TensorProtocol, name: str) -> ir.ExternalTensor:
    shape = ir.Shape([int(size) for size in tensor.shape.numpy()])
    return ir.ExternalTensor("beside", 0, tensor.nbytes, tensor.dtype, shape=shape, name=name)


def _inside(tensor: ir.TensorProtocol, name: str) -> ir.TensorProtocol | None:
    if not isinstance(tensor, ir.ExternalTensor):
        return None
    return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=name)
