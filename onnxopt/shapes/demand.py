"""Which nodes a small tensor's content comes from."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onnxopt.shapes.contents import BINARY, UNARY, followed
from onnxopt.shapes.fact import Fact

_SOURCES = frozenset({"Shape", "Size", "Constant"})
"""Their content does not come from the content of an input."""
_MOVERS = (
    "Cast CastLike Clip Concat ConstantOfShape Expand Flatten Gather GatherElements GatherND "
    "Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape ScatterElements ScatterND Slice Split "
    "Squeeze Tile Transpose Unsqueeze Where"
)
_CARRIERS = _SOURCES | UNARY.keys() | BINARY.keys() | frozenset(_MOVERS.split())
_MOST = 512
"""Longer computations of a shape are given up, which bounds the cost of one question."""


def needed_for_content(
    value: ir.Value, done: set[ir.Node], fact: Callable[[ir.Value], Fact]
) -> list[ir.Node]:
    """Return the nodes, in order, that have to be visited to learn a tensor's content."""
    order: list[ir.Node] = []
    seen: set[ir.Node] = set()
    stack: list[tuple[ir.Value | None, ir.Node | None]] = [(value, None)]
    while stack:
        wanted, finished = stack.pop()
        if finished is not None:
            order.append(finished)
            continue
        node = None if wanted is None else wanted.producer()
        if node is None or wanted is None or node in seen or node in done or len(seen) >= _MOST:
            continue
        if node.domain or node.op_type not in _CARRIERS or not _may_be_small(fact(wanted)):
            continue
        seen.add(node)
        stack.append((None, node))
        if node.op_type not in _SOURCES:
            stack.extend((source, None) for source in node.inputs)
    return order


def _may_be_small(fact: Fact) -> bool:
    if fact.dtype is None or fact.shape is None:
        return fact.type is None
    unknown = any(not isinstance(size, int) for size in fact.shape)
    return unknown or followed(fact.dtype, fact.shape) is not None
