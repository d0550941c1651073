"""Inputs and their open axes, declared in one notation for all frameworks.

As text, ``x=batch,3,224,224`` or ``ids:int64=batch,tokens``; from Python, example arrays and
``{"ids": {0: "batch", 1: "tokens"}}``. A name stands for one size wherever it occurs, and an axis
may be an expression of names, ``past + 3``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.errors import UsageError
from onnxopt.feeds import resolved
from onnxopt.framework import Declared, Dim
from onnxopt.spec import nearest
from onnxopt.target import Feeds

Axes = Mapping[str, Mapping[int, str]]

_TEXT = re.compile(r"(?P<name>[^=:\s][^=:]*)(:(?P<type>\w+))?\s*=(?P<dims>[^=]*)")
_NAME = re.compile(r"[A-Za-z_]\w*")
_DIM = re.compile(r"[A-Za-z_][\w+\-*/() ]*")
_TYPES = {
    kind.name.lower(): kind
    for kind in ir.DataType
    if kind is ir.DataType.STRING or (kind is not ir.DataType.UNDEFINED and kind.bitwidth >= 8)
} | {"float32": ir.DataType.FLOAT, "float64": ir.DataType.DOUBLE, "half": ir.DataType.FLOAT16}


def read(text: str) -> Declared:
    """Read ``name:type=axis,axis``; the type is float where none is given.

    Raises UsageError.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"input '{text}': expected NAME=batch,3,224,224 or NAME:int64=batch,tokens"
        )
    kind = found["type"] or "float"
    if kind.lower() not in _TYPES:
        raise UsageError(f"input '{text}': unknown type '{kind}'{nearest(kind.lower(), _TYPES)}")
    sizes = found["dims"].strip()
    dims = tuple(_dim(part.strip(), text) for part in sizes.split(",")) if sizes else ()
    return Declared(found["name"].strip(), _TYPES[kind.lower()], dims)


def _dim(part: str, text: str) -> Dim:
    if part.isdecimal():
        return int(part)
    if _DIM.fullmatch(part):
        return part
    raise UsageError(f"input '{text}': '{part}' is neither a size nor the name of an open axis")


def of_example(feeds: Feeds, axes: Axes) -> tuple[Declared, ...]:
    """Declare the inputs of an example, with the axes that are to stay open.

    Raises UsageError for axes and inputs that there are not.
    """
    for name, each in axes.items():
        if name not in feeds:
            known = ", ".join(feeds)
            raise UsageError(
                f"dynamic axes: there is no input '{name}', but {known}{nearest(name, feeds)}"
            )
        for axis in each:
            if not -feeds[name].ndim <= axis < feeds[name].ndim:
                raise UsageError(
                    f"dynamic axes: input '{name}' has {feeds[name].ndim} axes, not axis {axis}"
                )
    return tuple(_declared(name, array, axes.get(name, {})) for name, array in feeds.items())


def _declared(name: str, array: np.ndarray, axes: Mapping[int, str]) -> Declared:
    dims: list[Dim] = list(array.shape)
    for axis, dim in axes.items():
        if not _DIM.fullmatch(dim):
            raise UsageError(f"dynamic axes: '{dim}' of input '{name}' is no name for an axis")
        dims[axis] = dim
    return Declared(name, _type(array), tuple(dims))


def _type(array: np.ndarray) -> ir.DataType:
    if array.dtype.kind in "OUS":
        return ir.DataType.STRING
    return ir.DataType.from_numpy(array.dtype)


def names(signature: Iterable[Declared]) -> tuple[str, ...]:
    """Return the names that sizes stand behind, in the order of their first use."""
    found: dict[str, None] = {}
    for each in signature:
        for dim in each.dims:
            found |= dict.fromkeys(_NAME.findall(dim) if isinstance(dim, str) else ())
    return tuple(found)


def sizes_of(signature: Sequence[Declared], feeds: Feeds) -> dict[str, int]:
    """Return what the named axes are in some feeds.

    Raises UsageError where feeds contradict the declaration, or leave a name of an expression open.
    """
    sizes: dict[str, int] = {}
    for each in signature:
        shape = feeds[each.name].shape
        if len(shape) != len(each.dims):
            raise UsageError(
                f"input '{each}' is declared with {len(each.dims)} axes; the array has {len(shape)}"
            )
        for dim, size in zip(each.dims, shape, strict=True):
            if isinstance(dim, str) and _NAME.fullmatch(dim):
                _agree(sizes.setdefault(dim, size), size, each, dim)
    for each in signature:
        for dim, size in zip(each.dims, feeds[each.name].shape, strict=True):
            open_ = [] if isinstance(dim, int) else _NAME.findall(dim)
            unknown = [name for name in open_ if name not in sizes]
            if unknown:
                raise UsageError(f"input '{each}': no axis is called '{unknown[0]}' alone")
            _agree(resolved(dim, sizes), size, each, dim)
    return sizes


def _agree(wanted: int, size: int, each: Declared, dim: Dim) -> None:
    if wanted != size:
        raise UsageError(f"input '{each}': {dim} is {wanted}, but the example has {size} there")
