"""Every stored tensor of a model: its type, place, exact zeros, pattern and twins, as a stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.errors import ModelError
from onnxopt.inspection.duplicates import Twins
from onnxopt.inspection.operands import INTEGER, PACKED, PARAMETERS
from onnxopt.inspection.zeros import pattern, zeros
from onnxopt.io.storage import FileTensor, segment_of
from onnxopt.ops import INDEX_TYPES, key
from onnxopt.page.words import shorten

Role = Literal["parameter", "quantization", "packed", "other"]
Show = Callable[[float, str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """A stored tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    stored: Literal["inline", "external"]
    role: Role
    """``parameter``: a weight or bias; ``packed``: several weights a byte; ``quantization``: scales
    and zero points; ``other``: shapes, indices, strings."""
    parameters: int
    """How many parameters it holds."""
    zeros: int | None
    """Parameters that are exactly zero; None where that was not counted."""
    pattern: str
    """Such as ``2:4 along axis 1``: at most 2 of 4 neighbours there are not zero."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """All bytes of one type."""

    dtype: str
    tensors: int
    nbytes: int
    external: int
    """How many of the bytes lie in files beside the model."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """What a model stores."""

    tensors: tuple[Tensor, ...]
    by_type: tuple[Stored, ...]
    twins: tuple[tuple[str, ...], ...]
    """Names of tensors of one type and shape that hold the same, largest first."""
    repeated_bytes: int
    """Bytes that would go if equal tensors were one."""

    @property
    def parameters(self) -> int:
        """Weights and biases, each number once."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def zeros(self) -> int:
        """Parameters that are exactly zero."""
        return sum(tensor.zeros or 0 for tensor in self.tensors)

    @property
    def counted(self) -> int:
        """Parameters that were looked at for zeros."""
        return sum(tensor.parameters for tensor in self.tensors if tensor.zeros is not None)


def scan(model: ir.Model, show: Show) -> Weights:
    """Read every tensor once, a few megabytes at a time, and let go of it.

    ``show`` is told the share that is done. Raises ModelError for one that cannot be read.
    """
    held = list(graph.weights(model))
    whole = sum(tensor.nbytes for _, tensor in held) or 1
    twins, found, done = Twins(), [], 0
    for value, tensor in held:
        show(done / whole, f"reading {shorten(value.name or '', 40)}")
        try:
            found.append(_look(value, tensor))
            twins.add(value.name or "", tensor)
        except ValueError as error:  # its data do not fill its shape
            raise ModelError(
                f"weight '{value.name}' cannot be read ({error}); export the model again"
            ) from error
        done += tensor.nbytes
        segment = segment_of(tensor)
        if segment is not None:
            segment.drop()
    show(1.0, "comparing equal tensors")
    groups, repeated = twins.groups()
    return Weights(
        tensors=tuple(found),
        by_type=_by_type(found),
        twins=tuple(groups),
        repeated_bytes=repeated,
    )


def _look(value: ir.Value, tensor: ir.TensorProtocol) -> Tensor:
    role = _role(value, tensor)
    count = 0
    if role == "packed":
        count = tensor.nbytes * 8 // _bits(value)
    elif role == "parameter":
        count = tensor.size
    nothing = zeros(tensor, _zero_point(value)) if role == "parameter" else None
    shape = tuple(int(size) for size in tensor.shape.numpy())
    return Tensor(
        name=value.name or "",
        dtype=tensor.dtype.name.lower(),
        shape=shape,
        nbytes=tensor.nbytes,
        stored="external" if isinstance(tensor, FileTensor) else "inline",
        role=role,
        parameters=count,
        zeros=nothing,
        pattern=pattern(tensor, _zero_point(value)) if nothing and 2 * nothing >= count else "",
    )


def _role(value: ir.Value, tensor: ir.TensorProtocol) -> Role:
    uses = [(key(use.node), use.idx) for use in value.uses()]
    if uses and all(at in PARAMETERS.get(operator, ()) for operator, at in uses):
        return "quantization"
    if any(operator in PACKED and at == 1 for operator, at in uses):
        return "packed"
    if tensor.dtype is ir.DataType.STRING:
        return "other"
    if tensor.dtype in INDEX_TYPES:
        bias = tensor.dtype is ir.DataType.INT32 and any(_biased(*use) for use in uses)
        return "parameter" if bias else "other"
    return "parameter"


def _biased(operator: tuple[str, str], at: int) -> bool:
    """Return whether an integer there is a number that was quantized."""
    row = INTEGER.get(operator)
    if row is not None:
        return at not in row.parameters
    return operator[1] == "DequantizeLinear" and at == 0


def _bits(value: ir.Value) -> int:
    nodes = (use.node for use in value.uses() if key(use.node) in PACKED)
    bits = next((graph.attr_int(node, "bits", 4) for node in nodes), 4)
    return bits if 1 <= bits <= 8 else 8


def _zero_point(value: ir.Value) -> int | None:
    """Return the integer that stands for zero, None where there are several or nobody knows."""
    found: set[int | None] = {_zero_of(use.node, use.idx) for use in value.uses()}
    return found.pop() if len(found) == 1 else None if found else 0


def _zero_of(node: ir.Node, at: int) -> int | None:
    row = INTEGER.get(key(node))
    place = 2 if node.op_type == "DequantizeLinear" and at == 0 else None
    if row is not None and at == row.weight:
        place = row.zero
    zero = node.inputs[place] if place is not None and place < len(node.inputs) else None
    if zero is None:
        return 0
    held = graph.array(zero, at_most=1 << 20)
    if held is None or held.size == 0:
        return None
    flat = np.asarray(held.reshape(-1), np.int64)
    return int(flat[0]) if (flat == flat[0]).all() else None


def _by_type(tensors: Iterable[Tensor]) -> tuple[Stored, ...]:
    groups: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.dtype, []).append(tensor)
    found = [_stored(dtype, group) for dtype, group in groups.items()]
    return tuple(sorted(found, key=lambda stored: -stored.nbytes))


def _stored(dtype: str, group: Sequence[Tensor]) -> Stored:
    return Stored(
        dtype=dtype,
        tensors=len(group),
        nbytes=sum(tensor.nbytes for tensor in group),
        external=sum(tensor.nbytes for tensor in group if tensor.stored == "external"),
    )
