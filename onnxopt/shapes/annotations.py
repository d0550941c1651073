"""The types and shapes that a model is annotated with: reading, merging and writing them."""

from __future__ import annotations

import functools
from typing import NamedTuple

import onnx_ir as ir

from onnxopt.shapes.dim import Dim
from onnxopt.shapes.dimtext import parse
from onnxopt.shapes.extent import Dims, Extent
from onnxopt.shapes.fact import Fact


def extent_of(size: int | ir.SymbolicDim) -> Extent:
    """Read one annotated extent."""
    if isinstance(size, int):
        return size if size >= 0 else None
    return None if size.value is None else _named(size.value)


def _named(text: str) -> Dim | None:
    size = parse(text)
    return size if isinstance(size, Dim) else None


def dims_of(shape: ir.Shape | None) -> Dims | None:
    """Read an annotated shape."""
    return None if shape is None else tuple(map(extent_of, shape))


def annotated(value: ir.Value) -> Fact:
    """Return what a value is annotated with."""
    type_ = value.type
    if type_ is None:
        return Fact(None, dims_of(value.shape))
    other = None if isinstance(type_, ir.TensorType) else type_
    return Fact(type_.dtype, dims_of(value.shape), None, other)


def merge(value: ir.Value, fact: Fact, free: frozenset[str]) -> Fact:
    """Complete an inferred fact by the value's annotation where the two do not contradict.

    What is inferred wins. The annotation fills what is unknown; it may give a number or a name to
    an extent without one; of an expression over names that are ``free`` it may say nothing.
    """
    type_, shape = value.type, value.shape
    if type_ is None and shape is None:
        return fact
    if fact.dtype is None and fact.type is None and type_ is not None:
        other = None if isinstance(type_, ir.TensorType) else type_
        fact = fact._replace(dtype=type_.dtype, type=other)
    if shape is None:
        return fact
    have = dims_of(shape)
    if fact.shape is None:
        return fact._replace(shape=have)
    if have is None or len(have) != len(fact.shape) or have == fact.shape:
        return fact
    merged = tuple(
        _more_precise(size, claim, free) for size, claim in zip(fact.shape, have, strict=True)
    )
    return fact._replace(shape=merged)


def _more_precise(size: Extent, claim: Extent, free: frozenset[str]) -> Extent:
    if size is None:
        return claim
    if claim is None or isinstance(size, int):
        return size
    if isinstance(claim, int):
        return size if not size.hidden and size.symbols() <= free else claim
    return claim if size.hidden or not size.writable else size


class Change(NamedTuple):
    """A value whose annotation is to be replaced; None leaves the type or the shape as it is."""

    value: ir.Value
    type: ir.TypeProtocol | None
    shape: ir.Shape | None

    def apply(self) -> None:
        """Write the annotation."""
        if self.type is not None:
            self.value.type = self.type
        if self.shape is not None:
            self.value.shape = self.shape


def change(value: ir.Value, fact: Fact, fixed: bool) -> Change | None:
    """Return how a value's annotation has to change, None where it need not.

    A ``fixed`` annotation is part of the model's interface: only what is missing is added.
    """
    type_ = _changed_type(value, fact, fixed)
    shape = None
    if fact.shape is not None and not (fixed and value.shape is not None):
        shape = _changed_shape(value.shape, fact.shape)
    return None if type_ is None and shape is None else Change(value, type_, shape)


def _changed_type(value: ir.Value, fact: Fact, fixed: bool) -> ir.TypeProtocol | None:
    if value.type is not None and fixed:
        return None
    if fact.type is not None:
        return None if value.type == fact.type else fact.type
    if fact.dtype is None:
        return None
    if type(value.type) is ir.TensorType and value.type.dtype is fact.dtype:
        return None
    return ir.TensorType(fact.dtype)


def _changed_shape(old: ir.Shape | None, dims: Dims) -> ir.Shape | None:
    if old is not None and len(old) == len(dims):
        if all(map(_agrees, old, dims)):
            return None
        kept = [old[axis] if _unnamed(size) else _text(size) for axis, size in enumerate(dims)]
        return ir.Shape(kept)
    return ir.Shape([None if _unnamed(size) else _text(size) for size in dims])


def _agrees(old: int | ir.SymbolicDim, size: Extent) -> bool:
    if isinstance(size, int):
        return isinstance(old, int) and old == size
    return _unnamed(size) or (isinstance(old, ir.SymbolicDim) and old.value == str(size))


def _unnamed(size: Extent) -> bool:
    return size is None or (isinstance(size, Dim) and not size.writable)


def _text(size: Extent) -> int | ir.SymbolicDim | None:
    return size if isinstance(size, int) else None if size is None else _symbol(str(size))


@functools.lru_cache(maxsize=4096)
def _symbol(text: str) -> ir.SymbolicDim:
    """Return the name as an object, which is immutable and may be in many shapes."""
    return ir.SymbolicDim(text)
