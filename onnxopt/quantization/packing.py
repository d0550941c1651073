"""Narrow numbers as tensors: their type, several in a byte where they are narrower than that."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.quantization.types import BINARY, QuantType


def stored(integers: np.ndarray, kind: QuantType) -> ir.TensorProtocol:
    """Return integers, or numbers that a floating-point type holds, as a tensor of that type.

    A binary one holds bits, see ``bits_of``.
    """
    if kind is BINARY:
        return graph.tensor_of(bits_of(integers))
    if kind.bits >= 8:
        return graph.tensor_of(integers.astype(kind.stored.numpy()))
    codes = integers.astype(kind.stored.numpy()).view(np.uint8) if kind.floating else integers
    bytes_ = pack(codes, kind.bits)
    return ir.PackedTensor(bytes_, kind.stored, shape=ir.Shape(integers.shape))


def pack(integers: np.ndarray, bits: int) -> np.ndarray:
    """Return 2- or 4-bit integers in bytes, the first in the lowest bits: uint8, flat."""
    each = 8 // bits
    flat = integers.reshape(-1).astype(np.uint8)
    flat &= np.uint8((1 << bits) - 1)
    packed = np.zeros(-(-flat.size // each), np.uint8)
    for place in range(each):
        part = flat[place::each]
        packed[: part.size] |= part << np.uint8(bits * place)
    return packed


def bits_of(signs: np.ndarray) -> np.ndarray:
    """Return numbers of -1 and +1 as bits, 1 for +1: uint8, flat, the first in the lowest bit."""
    return np.packbits(signs.reshape(-1) > 0, bitorder="little")
