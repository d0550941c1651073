"""Tensors that hold the same, found by digests; only what has a double is read in full."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx_ir as ir

from onnxopt.io.storage import segment_of

_LEAST = 64
"""Tensors of fewer bytes are not worth a word."""
_EDGE = 4096
_CHUNK = 8 << 20

Key = tuple[object, ...]


class Twins:
    """Collects tensors, and says which are equal in type, shape and bytes."""

    def __init__(self) -> None:
        self._alike: dict[Key, list[tuple[str, ir.TensorProtocol]]] = {}

    def add(self, name: str, tensor: ir.TensorProtocol) -> None:
        """Note a tensor by its type, shape and the bytes at its ends."""
        if tensor.nbytes < _LEAST or tensor.dtype is ir.DataType.STRING:
            return
        held = _bytes(tensor)
        ends = hashlib.blake2b(held[:_EDGE].tobytes() + held[-_EDGE:].tobytes()).digest()
        key = (tensor.dtype, tuple(tensor.shape.numpy()), ends)
        self._alike.setdefault(key, []).append((name, tensor))

    def groups(self) -> tuple[list[tuple[str, ...]], int]:
        """Return the names of equal tensors, largest first, and how many bytes they repeat."""
        found: list[tuple[int, tuple[str, ...]]] = []
        for alike in self._alike.values():
            if len(alike) < 2:
                continue
            equal: dict[bytes, list[str]] = {}
            for name, tensor in alike:
                equal.setdefault(_digest(tensor), []).append(name)
            size = alike[0][1].nbytes
            found += [(size, tuple(names)) for names in equal.values() if len(names) > 1]
        found.sort(key=lambda pair: -pair[0] * (len(pair[1]) - 1))
        repeated = sum(size * (len(names) - 1) for size, names in found)
        return [names for _, names in found], repeated


def _bytes(tensor: ir.TensorProtocol) -> np.ndarray:
    segment = segment_of(tensor)
    return np.frombuffer(tensor.tobytes(), np.uint8) if segment is None else segment.packed()


def _digest(tensor: ir.TensorProtocol) -> bytes:
    held, digest, segment = _bytes(tensor), hashlib.blake2b(), segment_of(tensor)
    for at in range(0, held.size, _CHUNK):
        digest.update(held[at : at + _CHUNK].data)
        if segment is not None:
            segment.drop()
    return digest.digest()
