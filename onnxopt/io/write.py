"""Write model files: weights are copied from file to file, and the target is replaced at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import google.protobuf.message
import onnx
import onnx_ir as ir

from onnxopt.errors import ModelError, UsageError
from onnxopt.io.formats import Format, format_of, one_line, render
from onnxopt.io.hush import uncollected
from onnxopt.io.replace import Write, put, put_pair
from onnxopt.io.slots import Slot, from_files, slots, swapped
from onnxopt.io.storage import FileTensor
from onnxopt.io.types import put_back
from onnxopt.io.weights import nbytes
from onnxopt.io.wire import Mark, splice

_MAX_INLINE = 1_900_000_000
_MAX_PROTOBUF = 2**31 - 1
_MINIMUM = 1024
_LARGE, _LARGE_ALIGNMENT, _ALIGNMENT = 1 << 20, 1 << 16, 64


def save(
    model: ir.Model, path: Path | str, *, external_data: bool | None = None
) -> tuple[Path, ...]:
    """Write a model beside its target, then rename it; return the files there are now.

    The suffix tells the format.

    ``external_data`` says whether weights of 1 KiB and more go to a data file beside the model,
    called like it with ``.data`` at the end. By default they do where the model came with such
    files, or where it is too large for a single one (1.9 GB). The model stays as it is and stays
    valid, also when it is written over the files that it was loaded from.

    Raises UsageError where the target cannot be a file or ``external_data=False`` asks for more
    than 2 GB in one; ModelError where the model cannot be written in this format, or not there.
    """
    path = Path(path)
    found = list(slots(model))
    if external_data is None:
        size = sum(nbytes(slot.tensor) for slot in found)
        external_data = size > _MAX_INLINE or any(
            isinstance(slot.tensor, ir.ExternalTensor) for slot in found
        )
    if external_data:
        return _save_pair(model, found, path)
    if format_of(path) is Format.PROTOBUF:
        _save_inline(model, found, path)
    else:
        put(path, _writer(_render(_to_proto(model, from_files(found), path), path)))
    return (path,)


def _is_external(slot: Slot) -> bool:
    return isinstance(slot.tensor, ir.ExternalTensor)


def _writer(data: bytes) -> Write:
    def write(file: BinaryIO) -> None:
        file.write(data)

    return write


def _to_proto(
    model: ir.Model, stand_ins: Iterable[tuple[Slot, ir.TensorProtocol]], path: Path
) -> onnx.ModelProto:
    try:
        with swapped(stand_ins), uncollected():
            proto = ir.to_proto(model)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: the model cannot be written: {one_line(error)}") from error
    put_back(proto, model)
    return proto


def _render(proto: onnx.ModelProto, path: Path) -> bytes:
    form = format_of(path)
    if form is not Format.PROTOBUF:
        return render(proto, form, path)
    try:
        data: bytes = proto.SerializeToString()
    except (google.protobuf.message.Error, ValueError) as error:
        raise ModelError(
            f"{path}: the model is too large or nested too deeply for protobuf, even without its "
            "weights; split it"
        ) from error
    return data


class _Marked(ir.LazyTensor):
    """Stands for a tensor while its model is serialized: same type and shape, a mark as bytes."""

    def __init__(self, tensor: ir.TensorProtocol, mark: bytes) -> None:
        super().__init__(
            lambda: tensor,
            dtype=tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=tensor.name or "",
            doc_string=tensor.doc_string,
            metadata_props=dict(tensor.metadata_props) or None,
        )
        self.mark = mark

    def tobytes(self) -> bytes:
        """Return the mark."""
        return self.mark


def _save_inline(model: ir.Model, found: Sequence[Slot], path: Path) -> None:
    mark = Mark(os.urandom(16))
    cut = [slot for slot in found if _is_external(slot) or _is_large_raw(slot.tensor)]
    tensors = [slot.tensor for slot in cut]
    stand_ins = [(slot, _Marked(slot.tensor, mark.of(i))) for i, slot in enumerate(cut)]
    small = _render(_to_proto(model, stand_ins, path), path)
    pieces, length = splice(small, mark, [nbytes(tensor) for tensor in tensors])
    if length > _MAX_PROTOBUF:
        raise UsageError(
            f"{path}: {length} bytes are too many for one file, whose limit is 2 GiB; "
            "let the weights go to a data file"
        )

    def write(file: BinaryIO) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                file.write(piece)
            else:
                _write_tensor(tensors[piece], file)

    put(path, write)


def _is_large_raw(tensor: ir.TensorProtocol) -> bool:
    if isinstance(tensor, ir.TensorProtoTensor) and not tensor.raw.HasField("raw_data"):
        return False
    return nbytes(tensor) >= _MINIMUM


@runtime_checkable
class _ToFile(Protocol):
    def tofile(self, file: BinaryIO) -> None: ...


def _write_tensor(tensor: ir.TensorProtocol, file: BinaryIO) -> None:
    start, length = file.tell(), nbytes(tensor)
    try:
        if isinstance(tensor, _ToFile):
            tensor.tofile(file)
        else:
            file.write(tensor.tobytes())
    except ValueError as error:
        raise ModelError(f"weight '{tensor.name}' cannot be read: {one_line(error)}") from error
    if file.tell() - start != length:
        raise ModelError(
            f"weight '{tensor.name}' has {file.tell() - start} bytes, but its shape says {length}"
        )


def _save_pair(model: ir.Model, found: Sequence[Slot], path: Path) -> tuple[Path, ...]:
    outside = [slot for slot in found if _is_external(slot) or nbytes(slot.tensor) >= _MINIMUM]
    offsets: dict[object, int] = {}
    tensors: list[tuple[int, ir.TensorProtocol]] = []
    end = 0
    for slot in outside:
        key, length = _identity(slot.tensor), nbytes(slot.tensor)
        if key not in offsets:
            step = _LARGE_ALIGNMENT if length >= _LARGE else _ALIGNMENT
            offsets[key] = -(-end // step) * step
            end = offsets[key] + length
            tensors.append((offsets[key], slot.tensor))

    def write_data(file: BinaryIO) -> None:
        for offset, tensor in tensors:
            file.seek(offset)
            _write_tensor(tensor, file)

    def write_model(location: str) -> Write:
        stand_ins = [
            (slot, _reference(slot.tensor, location, offsets[_identity(slot.tensor)]))
            for slot in outside
        ]
        return _writer(_render(_to_proto(model, stand_ins, path), path))

    if not outside:
        put(path, write_model(""))
        return (path,)
    data = path.with_name(f"{path.name}.data")
    put_pair(path, data, write_data, write_model)
    return path, data


def _identity(tensor: ir.TensorProtocol) -> object:
    """Tell tensors apart by their bytes' place, so that what was shared stays shared."""
    if isinstance(tensor, FileTensor):
        return id(tensor.segment.source), tensor.offset, tensor.length
    return id(tensor)


def _reference(tensor: ir.TensorProtocol, location: str, offset: int) -> ir.ExternalTensor:
    return ir.ExternalTensor(
        os.fspath(location),
        offset,
        nbytes(tensor),
        tensor.dtype,
        shape=ir.Shape(tensor.shape.numpy()),
        name=tensor.name or "",
        doc_string=tensor.doc_string,
        metadata_props=dict(tensor.metadata_props) or None,
    )
