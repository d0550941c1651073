"""What a model's inputs want to be fed, read off their names, types and first consumers."""

from __future__ import annotations

import dataclasses
import enum
import re

import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.graph import array, attr_int, dims

Dim = int | str


class Kind(enum.Enum):
    """What the elements of an input stand for."""

    PLAIN = "plain"
    INDEX = "index"
    CHOICE = "choice"
    MASK = "mask"
    POSITIONS = "positions"
    LENGTHS = "lengths"
    CACHE = "cache"
    IMAGE = "image"


@dataclasses.dataclass(frozen=True)
class Need:
    """One input: unknown dimensions carry a name of their own, ``input:axis``."""

    name: str
    dtype: ir.DataType
    dims: tuple[Dim, ...]
    kind: Kind
    below: int | None = None
    """Integers must be smaller than this."""
    choices: tuple[int, ...] = ()
    """The constants that the model compares the input with."""


def needs(model: ir.Model) -> list[Need]:
    """Return what each input that must be fed wants.

    Raises ModelError for an input that is no tensor.
    """
    return [_need(value) for value in model.graph.inputs if not value.is_initializer()]


def _need(value: ir.Value) -> Need:
    name = value.name or ""
    if not isinstance(value.type, ir.TensorType):
        raise ModelError(f"input '{name}' is {value.type}: no data can be made up; pass samples")
    known = dims(value)
    shape = tuple(
        d if isinstance(d, str) or (isinstance(d, int) and d >= 0) else f"{name}:{axis}"
        for axis, d in enumerate((None, None) if known is None else known)
    )
    below, choices = _traced(value) if value.type.dtype.is_integer() else (None, ())
    kind = kind_of(name, value.type.dtype, shape, below, choices)
    return Need(name, value.type.dtype, shape, kind, below, choices)


_CACHE = re.compile(r"past|cache|state|hidden|mem", re.IGNORECASE)
_LENGTH = re.compile(r"(^|_)(len|lens|length|lengths|seqlen|seqlens)(_|$)", re.IGNORECASE)


def kind_of(
    name: str,
    dtype: ir.DataType,
    dims: tuple[Dim, ...],
    below: int | None,
    choices: tuple[int, ...] = (),
) -> Kind:
    """Tell what an input stands for by its name, type and shape, and what it is used for."""
    lower = name.lower()
    if "mask" in lower:
        return Kind.MASK
    if dtype.is_integer():
        if "position" in lower:
            return Kind.POSITIONS
        if below is not None:
            return Kind.INDEX
        if choices and all(d == 1 for d in dims):
            return Kind.CHOICE
        return Kind.LENGTHS if _LENGTH.search(name) else Kind.PLAIN
    if _CACHE.search(name):
        return Kind.CACHE
    return Kind.IMAGE if len(dims) == 4 and dims[1] in (1, 3, 4) else Kind.PLAIN


_MOVES = frozenset(
    {"Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose", "Slice"}
    | {"Expand", "Tile", "Split", "Clip", "Gather"}
)
"""Operators that hand elements of their first input on as they are."""

_VISITS = 1_000


def _traced(source: ir.Value) -> tuple[int | None, tuple[int, ...]]:
    """Follow an integer input to the tables it indexes and the constants it is compared with."""
    below: list[int] = []
    choices: dict[int, None] = {}
    pending = [(source, 0)]
    seen = {id(source)}
    while pending and len(seen) < _VISITS:
        value, offset = pending.pop()
        for use in value.uses():
            size = _table(use.node, use.idx)
            if size is not None:
                below.append(size - offset)
            if use.node.op_type == "Equal":
                constant = array(use.node.inputs[1 - use.idx], at_most=64)
                choices |= dict.fromkeys(
                    int(c) for c in ([] if constant is None else constant.flat)
                )
            shift = _shift(use.node, use.idx)
            for output in use.node.outputs if shift is not None else ():
                if shift is not None and id(output) not in seen:
                    seen.add(id(output))
                    pending.append((output, offset + shift))
    return (max(1, min(below)) if below else None), tuple(choices)


def _shift(node: ir.Node, at: int) -> int | None:
    """Return what a node adds to the elements it hands on; None where it makes something else."""
    if (node.op_type in _MOVES and at == 0) or node.op_type == "Concat":
        return 0
    if node.op_type == "Where":
        return 0 if at > 0 else None
    if node.op_type in ("Add", "Sub") and (at == 0 or node.op_type == "Add"):
        constant = array(node.inputs[1 - at], at_most=1)
        if constant is not None and constant.size == 1 and constant.dtype.kind in "iu":
            amount = int(constant.reshape(-1)[0])
            return amount if node.op_type == "Add" else -amount
    return None


def _table(node: ir.Node, at: int) -> int | None:
    """Return how many rows the table has that a node indexes with this input."""
    if at != 1:
        return None if node.op_type != "OneHot" or at != 0 else _depth(node)
    if node.op_type not in ("Gather", "GatherElements"):
        return None
    table = node.inputs[0]
    while table is not None and (maker := table.producer()) is not None:
        if maker.op_type not in ("Cast", "DequantizeLinear", "Identity"):
            break
        table = maker.inputs[0]
    if table is None or table.const_value is None:
        return None
    shape = table.const_value.shape.numpy()
    axis = attr_int(node, "axis", 0)
    return int(shape[axis]) if -len(shape) <= axis < len(shape) else None


def _depth(node: ir.Node) -> int | None:
    depth = array(node.inputs[1], at_most=1)
    return None if depth is None or depth.size != 1 else int(depth.reshape(-1)[0])
