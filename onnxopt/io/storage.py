"""Tensors whose bytes stay in the file they came from until somebody needs them."""

from __future__ import annotations

import mmap
import os
import stat
import weakref
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx_ir as ir

from onnxopt.errors import ModelError

_IN_MEMORY = 32 << 20  # a model file below this is read at once: nobody can change it underneath
_CHUNK = 1 << 20
_KERNEL_CHUNK = 1 << 30


def open_regular(path: Path) -> int:
    """Open a file for reading and return its descriptor; refuses folders, pipes and devices."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder; give the model file in it" if stat.S_ISDIR(mode) else "not a regular file"
        raise ModelError(f"{path}: is {kind}")
    return descriptor


def _identity(descriptor: int) -> tuple[int, int, int, int]:
    state = os.fstat(descriptor)
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _contents(descriptor: int, limit: int) -> bytes | mmap.mmap:
    size = os.fstat(descriptor).st_size
    if size <= limit:
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


class Source:
    """A file as it was when the model was read.

    A held source stays open, so that replacing the file by another of the same name does not
    touch it; one that is not held is opened again on demand and refused if it has changed since
    (models of thousands of data files would run out of descriptors).
    """

    def __init__(self, path: Path, *, held: bool = True, in_memory: int = 0) -> None:
        descriptor = open_regular(path)
        self.path = path
        self._identity = _identity(descriptor)
        self._descriptor: int | None = None
        self._data: bytes | mmap.mmap | None = None
        if held:
            self._descriptor = descriptor
            weakref.finalize(self, os.close, descriptor)
            self._data = _contents(descriptor, in_memory)
        else:
            os.close(descriptor)

    @classmethod
    def of_model(cls, path: Path) -> Source:
        """Open a model file; a small one is read at once."""
        return cls(path, in_memory=_IN_MEMORY)

    def __deepcopy__(self, memo: dict[int, Any]) -> Source:
        return self

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self._identity[2]

    def data(self) -> bytes | mmap.mmap:
        """Return the whole file; of a large one no page is read before it is looked at."""
        if self._data is not None:
            return self._data
        descriptor = self._reopen()
        try:
            return _contents(descriptor, 0)
        finally:
            os.close(descriptor)

    def _reopen(self) -> int:
        descriptor = open_regular(self.path)
        if _identity(descriptor) != self._identity:
            os.close(descriptor)
            raise ModelError(f"{self.path}: has changed since the model was loaded; load it again")
        return descriptor

    def copy(self, offset: int, length: int, file: BinaryIO) -> None:
        """Copy bytes to another file, inside the kernel where it can."""
        if isinstance(self._data, bytes):
            file.write(memoryview(self._data)[offset : offset + length])
            return
        descriptor = self._reopen() if self._descriptor is None else self._descriptor
        try:
            file.flush()
            done = _copy_in_kernel(descriptor, offset, length, file)
            _copy_in_chunks(descriptor, offset + done, length - done, file)
        finally:
            if descriptor != self._descriptor:
                os.close(descriptor)

    def drop(self, offset: int, length: int) -> None:
        """Take the pages of these bytes out of this process's memory; they stay readable."""
        if isinstance(self._data, mmap.mmap):
            first = offset - offset % mmap.PAGESIZE
            self._data.madvise(mmap.MADV_DONTNEED, first, offset + length - first)


def _copy_in_kernel(descriptor: int, offset: int, length: int, file: BinaryIO) -> int:
    """Copy what the kernel will between these two file systems; returns how many bytes."""
    start, done = file.tell(), 0
    if hasattr(os, "copy_file_range"):
        try:
            while done < length:
                count = min(_KERNEL_CHUNK, length - done)
                copied = os.copy_file_range(
                    descriptor, file.fileno(), count, offset + done, start + done
                )
                if copied == 0:
                    break
                done += copied
        except OSError:
            pass  # across some file systems; a full disk shows again below, with its name
    file.seek(start + done)
    return done


def _copy_in_chunks(descriptor: int, offset: int, length: int, file: BinaryIO) -> None:
    while length > 0:
        chunk = os.pread(descriptor, min(_CHUNK, length), offset)
        if not chunk:
            raise ModelError(f"{file.name}: a weight's source ended early; load the model again")
        file.write(chunk)
        offset += len(chunk)
        length -= len(chunk)


class Segment:
    """The bytes of one tensor in a file."""

    __slots__ = ("dtype", "length", "offset", "shape", "source")

    def __init__(
        self, source: Source, offset: int, length: int, dtype: ir.DataType, shape: ir.Shape
    ) -> None:
        self.source = source
        self.offset = offset
        self.length = length
        self.dtype = dtype
        self.shape = shape

    def __repr__(self) -> str:
        return f"{self.source.path}[{self.offset}:{self.offset + self.length}]"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.view(), dtype=dtype, copy=copy)

    def view(self) -> np.ndarray:
        """Return the elements, read-only; types of less than a byte are unpacked, others mapped."""
        shape = self.shape.numpy()
        if self.length == 0:
            return np.empty(shape, self.dtype.numpy())
        if self.dtype.bitwidth < 8:
            return ir.PackedTensor(self.packed(), self.dtype, shape=shape).numpy()
        element = np.dtype(self.dtype.numpy()).newbyteorder("<")
        count = self.length // element.itemsize
        return np.frombuffer(self.source.data(), element, count, self.offset).reshape(shape)

    def packed(self) -> np.ndarray:
        """Return the bytes as they are stored, read-only and mapped."""
        return np.frombuffer(self.source.data(), np.uint8, self.length, self.offset)

    def read(self) -> bytes:
        """Return a copy of the bytes."""
        return bytes(self.source.data()[self.offset : self.offset + self.length])

    def copy(self, file: BinaryIO) -> None:
        """Copy the bytes to another file."""
        self.source.copy(self.offset, self.length, file)

    def drop(self) -> None:
        """Take the bytes out of this process's memory; they stay readable."""
        self.source.drop(self.offset, self.length)


class InlineTensor(ir.Tensor[Segment]):
    """A tensor in the model file itself; serialized by its value like any other tensor."""

    def numpy(self) -> np.ndarray:
        """Return the elements, read-only and mapped."""
        return self.raw.view()

    def tobytes(self) -> bytes:
        """Return a copy of the bytes."""
        return self.raw.read()

    def tofile(self, file: BinaryIO) -> None:
        """Copy the bytes to a file without reading them."""
        self.raw.copy(file)

    def release(self) -> None:
        """Take the bytes out of this process's memory; the tensor stays valid."""
        self.raw.drop()


class FileTensor(ir.ExternalTensor):
    """A tensor in a data file beside the model; serialized as a reference to that file."""

    def __init__(self, tensor: ir.ExternalTensor, base: Path, segment: Segment) -> None:
        super().__init__(
            tensor.location,
            segment.offset,
            segment.length,
            segment.dtype,
            shape=segment.shape,
            name=tensor.name,
            doc_string=tensor.doc_string,
            metadata_props=dict(tensor.metadata_props) or None,
            base_dir=base,
        )
        self.segment = segment

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.segment.__array__(dtype, copy)

    def numpy(self) -> np.ndarray:
        """Return the elements, read-only and mapped."""
        return self.segment.view()

    def tobytes(self) -> bytes:
        """Return a copy of the bytes."""
        return self.segment.read()

    def tofile(self, file: BinaryIO) -> None:
        """Copy the bytes to a file without reading them."""
        self.segment.copy(file)

    def release(self) -> None:
        """Take the bytes out of this process's memory; the tensor stays valid."""
        self.segment.drop()


def segment_of(tensor: ir.TensorProtocol) -> Segment | None:
    """Return where a tensor's bytes lie in a file, None where they are in memory."""
    if isinstance(tensor, FileTensor):
        return tensor.segment
    return tensor.raw if isinstance(tensor, InlineTensor) else None
