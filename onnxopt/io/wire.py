"""Cut large weights out of a serialized model, and splice them back in, on protobuf's wire format.

A protobuf message is a run of fields: a tag (field number and wire type), and for the types that
matter here a length and so many bytes. A model's weights are the ``raw_data`` of its tensors, a
few messages deep. Cutting puts a short mark where a large ``raw_data`` was and shortens the
lengths of the messages around it; what is left is a small model for protobuf to parse. Splicing
is the same walk with the lengths growing.
"""

from __future__ import annotations

import bisect
import mmap
from collections.abc import Sequence
from typing import NamedTuple, Protocol

Bytes = bytes | mmap.mmap

_RAW = "raw_data"
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "tensor": {9: _RAW},
}
_ENDS: dict[str, frozenset[int]] = {
    "attribute": frozenset((7, 8, 9)),
    "tensor": frozenset((4, 5, 6, 7, 10, 11)),
}
"""Fields after which no ``raw_data`` follows: lists of values, a field for each of a million."""
_FIXED_SIZES = {1: 8, 5: 4}
_VARINT, _LENGTH_DELIMITED = 0, 2
_MAX_DEPTH = 100  # protobuf's own limit, which it holds to when it parses what is left
_INDEX_BYTES = 4


class WireError(ValueError):
    """The bytes are not protobuf; the message says where they stop making sense."""


class Span(NamedTuple):
    """Where a weight lies in a file, in bytes."""

    offset: int
    length: int


Part = bytes | Span | int
"""A piece of output: bytes, a stretch of the input, or the number of a weight to splice in."""


class Mark(NamedTuple):
    """What stands in a serialized model for a weight: a secret that no file contains, a number."""

    secret: bytes

    def of(self, number: int) -> bytes:
        """Return the mark of the weight of this number."""
        return self.secret + number.to_bytes(_INDEX_BYTES, "little")

    def number(self, data: bytes) -> int | None:
        """Return which weight these bytes stand for, None where they are plain bytes."""
        if len(data) != len(self.secret) + _INDEX_BYTES or not data.startswith(self.secret):
            return None
        return int.from_bytes(data[len(self.secret) :], "little")


class _Edit(Protocol):
    def wanted(self, start: int, stop: int) -> bool:
        """Say whether there is anything to replace in this stretch."""

    def replace(self, start: int, stop: int) -> tuple[Part, int]:
        """Return what comes in place of this ``raw_data``, and how long that is."""


class _Cut:
    def __init__(self, mark: Mark, minimum: int) -> None:
        self.mark = mark
        self.minimum = minimum
        self.spans: list[Span] = []

    def wanted(self, start: int, stop: int) -> bool:
        return stop - start >= self.minimum

    def replace(self, start: int, stop: int) -> tuple[Part, int]:
        mark = self.mark.of(len(self.spans))
        self.spans.append(Span(start, stop - start))
        return mark, len(mark)


class _Splice:
    def __init__(self, data: bytes, mark: Mark, lengths: Sequence[int]) -> None:
        self.data = data
        self.mark = mark
        self.lengths = lengths
        self.places: list[int] = []
        place = data.find(mark.secret)
        while place >= 0:
            self.places.append(place)
            place = data.find(mark.secret, place + 1)

    def wanted(self, start: int, stop: int) -> bool:
        first = bisect.bisect_left(self.places, start)
        return first < len(self.places) and self.places[first] < stop

    def replace(self, start: int, stop: int) -> tuple[Part, int]:
        index = self.mark.number(self.data[start:stop])
        if index is None:
            raise WireError(f"the mark at byte {start} has been altered")
        return index, self.lengths[index]


def _read_varint(data: Bytes, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while at < stop and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise WireError(f"a number is cut off at byte {at}")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _skip(data: Bytes, wire_type: int, at: int, stop: int) -> int:
    if wire_type == _VARINT:
        return _read_varint(data, at, stop)[1]
    size = _FIXED_SIZES.get(wire_type)
    if size is None or at + size > stop:
        raise WireError(f"byte {at} begins no field that ONNX has")
    return at + size


def _rewrite(
    data: Bytes, edit: _Edit, kind: str, start: int, stop: int, depth: int = 0
) -> tuple[list[Part], int] | None:
    """Rewrite one message; None where nothing changes. Returns its parts and its new length."""
    children, ends = _CHILDREN[kind], _ENDS.get(kind, ())
    parts: list[Part] = []
    length = 0
    kept = at = start
    while at < stop:
        tag_at = at
        tag = data[at]  # the usual tag and length are single bytes, and a model has a million
        tag, at = (tag, at + 1) if tag < 128 else _read_varint(data, at, stop)
        if tag >> 3 in ends:
            break
        if tag & 7 != _LENGTH_DELIMITED:
            at = _skip(data, tag & 7, at, stop)
            continue
        size = data[at] if at < stop else 128
        size, body = (size, at + 1) if size < 128 else _read_varint(data, at, stop)
        at = body + size
        if at > stop:
            raise WireError(f"byte {tag_at} announces {size} bytes, but only {stop - body} follow")
        child = children.get(tag >> 3)
        if child is None or not edit.wanted(body, at):
            continue
        inner = _child(data, edit, child, body, at, depth)
        if inner is not None:
            head = _varint(tag) + _varint(inner[1])
            parts += [Span(kept, tag_at - kept), head, *inner[0]]
            length += tag_at - kept + len(head) + inner[1]
            kept = at
    if not parts:
        return None
    parts.append(Span(kept, stop - kept))
    return parts, length + stop - kept


def _child(
    data: Bytes, edit: _Edit, kind: str, start: int, stop: int, depth: int
) -> tuple[list[Part], int] | None:
    if kind == _RAW:
        part, length = edit.replace(start, stop)
        return [part], length
    if depth >= _MAX_DEPTH:
        raise WireError(f"subgraphs are nested too deeply at byte {start}")
    return _rewrite(data, edit, kind, start, stop, depth + 1)


def cut(data: Bytes, mark: Mark, minimum: int) -> tuple[bytes, list[Span]]:
    """Replace every ``raw_data`` of at least so many bytes by a mark.

    Returns the small model that is left, and where each weight lies, by the mark's number.
    Raises WireError where the bytes end too early or cannot be protobuf.
    """
    edit = _Cut(mark, minimum)
    rewritten = _rewrite(data, edit, "model", 0, len(data))
    if rewritten is None:
        return data[:], []
    out = [
        data[part.offset : part.offset + part.length] if isinstance(part, Span) else part
        for part in rewritten[0]
        if not isinstance(part, int)
    ]
    return b"".join(out), edit.spans


def splice(data: bytes, mark: Mark, lengths: Sequence[int]) -> tuple[list[bytes | int], int]:
    """Plan a serialized model in which weights of these lengths stand where their marks were.

    Returns its pieces in order, a number for the weight of that number, and its length in bytes.
    """
    rewritten = _rewrite(data, _Splice(data, mark, lengths), "model", 0, len(data))
    if rewritten is None:
        return [data], len(data)
    pieces: list[bytes | int] = [
        data[part.offset : part.offset + part.length] if isinstance(part, Span) else part
        for part in rewritten[0]
    ]
    return pieces, rewritten[1]
