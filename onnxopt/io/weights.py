"""Weights of a model that is being read: checked against their shapes, left where they lie."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.io.storage import FileTensor, InlineTensor, Segment, Source
from onnxopt.io.wire import Mark, Span

_MAX_HELD_FILES = 64
_BITS: dict[int, int] = {
    dtype.value: dtype.bitwidth
    for dtype in ir.DataType
    if dtype not in (ir.DataType.UNDEFINED, ir.DataType.STRING)
}
_TYPED_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def nbytes(tensor: ir.TensorProtocol) -> int:
    """Return how many bytes the elements take, packed; 0 for strings."""
    return (math.prod(tensor.shape.numpy()) * _BITS.get(tensor.dtype, 0) + 7) // 8


class Weights:
    """Finds the bytes of every tensor of one model."""

    def __init__(self, path: Path, source: Source, mark: Mark, spans: list[Span]) -> None:
        self._path = path
        self._source = source
        self._mark = mark
        self._spans = spans
        self._files: dict[str, Source] = {}

    def resolve(self, tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        """Return the tensor that stands in the model.

        Raises ModelError where its bytes are not what its type and shape say, or lie where they
        must not.
        """
        if isinstance(tensor, ir.ExternalTensor):
            return self._external(tensor)
        if isinstance(tensor, ir.TensorProtoTensor):
            return self._inline(tensor)
        if isinstance(tensor, ir.StringTensor):
            dims = tensor.shape.numpy()
            self._expect(tensor.name, dims, len(tensor.raw), math.prod(dims), "strings")
        return tensor

    def _inline(self, tensor: ir.TensorProtoTensor) -> ir.TensorProtocol:
        proto = tensor.raw
        data = proto.raw_data
        size = self._size(proto.name, proto.data_type, proto.dims)
        number = self._mark.number(data)
        if number is None:
            if data or not self._is_typed(proto):
                self._expect(proto.name, proto.dims, len(data), size)
            if proto.metadata_props:  # the tensor has them; onnx-ir would write them twice
                del proto.metadata_props[:]
            return tensor
        offset, length = self._spans[number]
        self._expect(proto.name, proto.dims, length, size)
        dtype, shape = ir.DataType(proto.data_type), ir.Shape(proto.dims, frozen=True)
        return InlineTensor(
            Segment(self._source, offset, length, dtype, shape),
            dtype,
            shape=shape,
            name=proto.name,
            doc_string=proto.doc_string or None,
            metadata_props=dict(tensor.metadata_props) if proto.metadata_props else None,
        )

    def _is_typed(self, proto: onnx.TensorProto) -> bool:
        """Say whether the elements lie in typed fields, as many as there should be."""
        count = sum(len(getattr(proto, field)) for field in _TYPED_FIELDS)
        if count == 0:
            return False
        size, bits = math.prod(proto.dims), _BITS[proto.data_type]
        if count not in (size, (size * bits + 7) // 8 if bits < 8 else 2 * size):
            self._expect(proto.name, proto.dims, count, size, "values")
        return True

    def _external(self, tensor: ir.ExternalTensor) -> FileTensor:
        dims = tensor.shape.numpy()
        length, offset = self._size(tensor.name, tensor.dtype, dims), tensor.offset or 0
        if tensor.length is not None:
            self._expect(tensor.name, dims, tensor.length, length)
        location = os.fspath(tensor.location)
        source = self._files.get(location)
        if source is None:
            held = len(self._files) < _MAX_HELD_FILES
            source = Source(self._locate(tensor.name, location), held=held)
            self._files[location] = source
        if offset + length > source.size:
            raise ModelError(
                f"{source.path}: is too short: weight '{tensor.name}' ends at byte "
                f"{offset + length}, the file at {source.size}; copy the data file again"
            )
        segment = Segment(source, offset, length, tensor.dtype, tensor.shape)
        return FileTensor(tensor, self._path.parent, segment)

    def _locate(self, name: str | None, location: str) -> Path:
        """Return the path of a data file, which must lie in the model's folder.

        Links may lead from the folder of a linked model to that of the model itself, and no
        further, so that models in caches made of links can be read.
        """
        path = self._path.parent / location
        where = f"{self._path}: the data file '{location}' of weight '{name}'"
        if not location or os.path.isabs(location) or "\0" in location or "\\" in location:
            raise ModelError(f"{where} is not a relative path; write the model again")
        inside = os.path.normpath(path)
        folders = (
            os.path.realpath(self._path.parent),
            os.path.dirname(os.path.realpath(self._path)),
        )
        if not _within(inside, os.path.normpath(self._path.parent)) or not any(
            _within(os.path.realpath(path), folder) for folder in folders
        ):
            raise ModelError(f"{where} lies outside the model's folder; move it there")
        if not path.exists():
            raise ModelError(f"{where} is missing; copy it beside the model")
        return path

    def _size(self, name: str | None, data_type: int, dims: Sequence[int]) -> int:
        bits = _BITS.get(data_type)
        if bits is None or min(dims, default=0) < 0:
            raise ModelError(
                f"{self._path}: weight '{name}' of type {data_type} and shape {list(dims)} "
                "cannot be; export the model again"
            )
        return (math.prod(dims) * bits + 7) // 8

    def _expect(
        self, name: str | None, dims: Sequence[int], found: int, expected: int, unit: str = "bytes"
    ) -> None:
        if found != expected:
            raise ModelError(
                f"{self._path}: weight '{name}' holds {found} {unit}, but its shape "
                f"{list(dims)} says {expected}; export the model again"
            )


def _within(path: str, folder: str) -> bool:
    return os.path.commonpath((os.path.abspath(path), os.path.abspath(folder))) == os.path.abspath(
        folder
    )
