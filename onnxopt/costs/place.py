"""One node as its row sees it, with what is known of its outputs, and what the row answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import onnx_ir as ir

from onnxopt.shapes.call import Call
from onnxopt.shapes.engine import Engine
from onnxopt.shapes.extent import Dims, Extent, over_up, product, times
from onnxopt.shapes.fact import Fact


class Work(NamedTuple):
    """Multiply-accumulates, and the scalar operations apart from them; None for what is unknown."""

    macs: Extent = 0
    ops: Extent = 0


class Traffic(NamedTuple):
    """Bytes that a node reads and writes; None for what is unknown."""

    read: Extent
    written: Extent


class Place(Call):
    """A node with the facts of its inputs and outputs."""

    __slots__ = ("outputs",)

    def __init__(self, node: ir.Node, engine: Engine) -> None:
        facts = [None if value is None else engine.fact(value) for value in node.inputs]
        super().__init__(node, facts, engine)
        self.outputs = [engine.fact(value) for value in node.outputs]

    def out(self, index: int = 0) -> Dims | None:
        """Return the shape of an output."""
        return self.outputs[index].shape if index < len(self.outputs) else None

    def size(self, index: int) -> Extent:
        """Return how many elements an input has; 0 where it is not given."""
        return elements(self.shape(index)) if self.has(index) else 0

    def made(self, index: int = 0) -> Extent:
        """Return how many elements an output has."""
        return elements(self.out(index))


Row: TypeAlias = Callable[[Place], Work]
"""How much an operator computes."""
Carrier: TypeAlias = Callable[[Place], Traffic]
"""How much an operator moves."""


def elements(shape: Dims | None) -> Extent:
    """Return how many elements a shape has."""
    return None if shape is None else product(shape)


def bytes_of(fact: Fact) -> Extent:
    """Return how many bytes a tensor takes, packed; None for sequences and strings."""
    if fact.dtype in (None, ir.DataType.STRING, ir.DataType.UNDEFINED) or fact.type is not None:
        return None
    bits = times(elements(fact.shape), fact.dtype.bitwidth)
    return over_up(bits, 8)


def extent_at(shape: Dims | None, axis: int) -> Extent:
    """Return the extent of an axis, None where there is none or nothing is known."""
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis]
