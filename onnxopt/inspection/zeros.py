"""Exact zeros of a tensor, and whether they lie in a pattern that sparse kernels use."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from onnxopt.io.storage import Segment, segment_of

_CHUNK = 4 << 20
"""Elements that are looked at together."""
_GROUPS = (4, 8, 16)
"""How many neighbours a pattern may span."""
_HALVES = frozenset(("bfloat16", "float16"))


def zeros(tensor: ir.TensorProtocol, zero: int | None) -> int | None:
    """Count the elements that are exactly zero, of either sign.

    ``zero`` is the integer that stands for it. None for types that cannot be counted, or where
    ``zero`` is None.
    """
    if zero is None:
        return None
    segment = segment_of(tensor)
    if tensor.dtype.bitwidth < 8 and segment is not None:
        return _packed_zeros(segment, tensor, zero)
    array = _elements(tensor)
    if array is None:
        return None
    flat, found = array.reshape(-1), 0
    for at in range(0, flat.size, _CHUNK):
        part = flat[at : at + _CHUNK]
        found += part.size - int(np.count_nonzero(_alive(part, zero)))
        if segment is not None:
            segment.drop()
    return found


def _elements(tensor: ir.TensorProtocol) -> np.ndarray | None:
    """Return the elements, mapped where they lie in a file."""
    array = np.asarray(tensor.numpy())
    return None if array.dtype.kind in "OSU" else array


def _alive(part: np.ndarray, zero: int) -> np.ndarray:
    """Return which elements are not zero."""
    if part.dtype.name in _HALVES:  # their bits compare faster
        alive: np.ndarray = (part.view(np.uint16) & np.uint16(0x7FFF)).astype(np.bool_)
    else:
        alive = np.not_equal(part, part.dtype.type(zero))
    return alive


def _packed_zeros(segment: Segment, tensor: ir.TensorProtocol, zero: int) -> int | None:
    """Count fields of 2 or 4 bits without unpacking them."""
    bits = tensor.dtype.bitwidth
    if bits not in (2, 4) or not tensor.dtype.is_integer():
        return None
    mask = (1 << bits) - 1
    wanted, found = zero & mask, 0
    packed = segment.packed()
    for at in range(0, packed.size, _CHUNK):
        part = packed[at : at + _CHUNK]
        for shift in range(0, 8, bits):
            found += int(np.count_nonzero((part >> shift) & mask == wanted))
        segment.drop()
    padding = packed.size * (8 // bits) - tensor.size
    last = int(packed[-1]) if padding else 0
    fields = [(last >> shift) & mask for shift in range(0, 8, bits)]
    return found - fields[len(fields) - padding :].count(wanted) if padding else found


def pattern(tensor: ir.TensorProtocol, zero: int | None) -> str:
    """Return the N:M pattern with the smallest share that holds, such as ``2:4 along axis 1``.

    Of equal shares the shortest M, which says most.

    At most N of every M neighbours along the axis are not zero, with N at most half of M. Source:
    Mishra et al., "Accelerating sparse deep neural networks", 2021. Empty where there is none.
    """
    array = None if tensor.dtype.bitwidth < 8 else _elements(tensor)
    if array is None or array.ndim < 2 or zero is None:
        return ""
    found: list[tuple[float, int, int, int]] = []
    for span in _GROUPS:
        for axis in dict.fromkeys((array.ndim - 1, 1, 0)):
            if array.shape[axis] and array.shape[axis] % span == 0:
                most = _most(array, axis, span, zero, segment_of(tensor))
                if 0 < most <= span // 2:
                    found.append((most / span, span, most, axis))
                    break
    if not found:
        return ""
    _, span, most, axis = min(found)
    return f"{most}:{span} along axis {axis}"


def _most(array: np.ndarray, axis: int, span: int, zero: int, segment: Segment | None) -> int:
    """Return the largest number of elements that are not zero, among ``span`` neighbours."""
    most = 0
    for part in _slabs(array, axis, span):
        groups = _alive(part, zero).reshape(
            *part.shape[:axis], part.shape[axis] // span, span, *part.shape[axis + 1 :]
        )
        most = max(most, int(groups.sum(axis=axis + 1).max(initial=0)))
        if segment is not None:
            segment.drop()
        if most > span // 2:
            break
    return most


def _slabs(array: np.ndarray, axis: int, span: int) -> Iterator[np.ndarray]:
    """Cut along the first axis into parts of bounded size that split no group."""
    each = math.prod(array.shape[1:]) or 1
    rows = max(1, _CHUNK // each)
    rows = max(span, rows - rows % span) if axis == 0 else rows
    for at in range(0, array.shape[0], rows):
        yield array[at : at + rows]
