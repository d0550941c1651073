"""What a model holds and computes, where weights became fewer or zero."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from typing import cast

import onnx_ir as ir

from onnxopt import graph
from onnxopt.inspection.sizes import counted
from onnxopt.inspection.zeros import zeros
from onnxopt.render import bytes_text, share_text

_LEVEL = 6
"""Of zlib, as files of gzip and zip have it."""
_PIECE = 1 << 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """Amounts of a model."""

    macs: int
    """Multiply-adds that are known, at the sizes that were given or that feeds are made up with."""
    params: int
    zeros: int
    """Elements of floating-point weights that are zero."""
    weight_bytes: int
    compressed_bytes: int
    """All weights behind zlib, each tensor a stream of its own."""

    @classmethod
    def of(cls, model: ir.Model, sizes: Mapping[str, int] | None = None) -> Contents:
        """Count; reads every weight once, which takes some seconds for each 100 MB."""
        weights = [weight for _, weight in graph.weights(model)]
        costs, _, _ = counted(model, sizes or {})
        floats = (weight for weight in weights if weight.dtype.is_floating_point())
        return cls(
            macs=sum(row.macs for row in costs.rows if isinstance(row.macs, int)),
            params=sum(weight.size for weight in weights),
            zeros=sum(zeros(weight, 0) or 0 for weight in floats),
            weight_bytes=sum(weight.nbytes for weight in weights),
            compressed_bytes=sum(map(_compressed, weights)),
        )


def content_rows(before: Contents, after: Contents) -> list[list[str]]:
    """Return the rows of a table: what, before, after, what is left."""
    sizes = before.weight_bytes, after.weight_bytes
    packed = before.compressed_bytes, after.compressed_bytes
    found = [
        _row("multiply-adds", before.macs, after.macs, f"{before.macs:,}", f"{after.macs:,}"),
        _row("parameters", before.params, after.params, f"{before.params:,}", f"{after.params:,}"),
        _row("weights", *sizes, *map(bytes_text, sizes)),
        _row("weights behind zlib", *packed, *map(bytes_text, packed)),
    ]
    if before.zeros or after.zeros:
        shares = (share_text(each.zeros, each.params) for each in (before, after))
        found.append(["zeros", *shares, "-"])
    return found


def _row(name: str, before: int, after: int, *shown: str) -> list[str]:
    return [name, *shown, f"{100 * after / before:.1f} %" if before else "-"]


def _compressed(weight: ir.TensorProtocol) -> int:
    packer, size = zlib.compressobj(_LEVEL), 0
    whole = memoryview(_raw(weight))
    for start in range(0, len(whole), _PIECE):
        size += len(packer.compress(whole[start : start + _PIECE]))
    return size + len(packer.flush())


def _raw(weight: ir.TensorProtocol) -> bytes:
    if weight.dtype == ir.DataType.STRING:
        return b"".join(cast("ir.StringTensor", weight).string_data())
    return weight.tobytes()
