"""One node as its row sees it: what is known of the inputs, and the attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, cast

import onnx_ir as ir

from onnxopt.shapes.extent import Dims
from onnxopt.shapes.fact import NOTHING, Content, Contradiction, Fact


class Surroundings(Protocol):
    """What a row may ask for beyond its node."""

    def content(self, value: ir.Value) -> Content | None:
        """Return the elements of a small tensor."""

    def body(self, graph: ir.Graph, inputs: Sequence[Fact]) -> list[Fact]:
        """Infer a subgraph with these facts for its inputs; return those of its outputs."""

    def opset(self, node: ir.Node) -> int:
        """Return the version of the node's operator set."""


class Call:
    """A node with the facts of its inputs. ``reason`` says why an output stays unknown."""

    __slots__ = ("around", "attributes", "inherent", "inputs", "node", "reason")

    def __init__(self, node: ir.Node, inputs: list[Fact | None], around: Surroundings) -> None:
        self.node = node
        self.inputs = inputs
        self.around = around
        self.attributes = node.attributes
        self.reason = ""
        self.inherent = False

    @property
    def version(self) -> int:
        """The version of the node's operator set."""
        return self.around.opset(self.node)

    def has(self, index: int) -> bool:
        """Return whether an optional input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def fact(self, index: int) -> Fact:
        """Return what is known of an input; nothing of one that is not given."""
        found = self.inputs[index] if index < len(self.inputs) else None
        return found if found is not None else NOTHING

    def dtype(self, index: int) -> ir.DataType | None:
        """Return an input's element type."""
        return self.fact(index).dtype

    def shape(self, index: int) -> Dims | None:
        """Return an input's shape."""
        return self.fact(index).shape

    def shape_of_rank(self, index: int, rank: int) -> Dims | None:
        """Return an input's shape; Contradiction where it has another rank."""
        shape = self.fact(index).shape
        if shape is not None and len(shape) != rank:
            raise Contradiction(f"input {index} has {len(shape)} axes where {rank} are needed")
        return shape

    def content(self, index: int) -> Content | None:
        """Return the elements of an input that is a small tensor, where they are known."""
        if not self.has(index):
            return None
        fact = self.fact(index)
        if fact.content is not None:
            return fact.content
        value = self.node.inputs[index]
        return self.around.content(value) if value is not None else None

    def numbers(self, index: int) -> tuple[int, ...] | None:
        """Return the elements of an input where all are known integers."""
        content = self.content(index)
        if content is None:
            return None
        numbers = tuple(item for item in content if isinstance(item, int))
        return numbers if len(numbers) == len(content) else None

    def _value(self, name: str) -> object:
        attribute = self.attributes.get(name)
        if attribute is None:
            return None
        if attribute.is_ref():
            raise Contradiction(f"its attribute '{name}' is a parameter of a function")
        return cast(object, attribute.value)

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        value = self._value(name)
        return value if isinstance(value, int) else default

    def string(self, name: str, default: str) -> str:
        """Return a text attribute."""
        value = self._value(name)
        return value if isinstance(value, str) else default

    def ints(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute of integers, None where it is not given."""
        value = self._value(name)
        return None if value is None else tuple(cast("Sequence[int]", value))

    def floats(self, name: str) -> tuple[float, ...] | None:
        """Return an attribute of floats, None where it is not given."""
        value = self._value(name)
        return None if value is None else tuple(cast(Sequence[float], value))

    def graph(self, name: str) -> ir.Graph:
        """Return a subgraph."""
        value = self._value(name)
        if not isinstance(value, ir.Graph):
            raise Contradiction(f"it has no graph '{name}'")
        return value

    def axes(self, rank: int, index: int = 1) -> tuple[int, ...] | None:
        """Return ``axes``, an attribute or an input by opset, counted from the front.

        None where they are given by an input that is not known; () where they are not given.
        """
        given = self.ints("axes")
        if given is None and self.has(index):
            given = self.numbers(index)
            if given is None:
                return None
        return tuple(normalize(axis, rank) for axis in given or ())

    def stop(self, reason: str) -> None:
        """Note why something stays unknown."""
        self.reason = reason

    def depends_on_data(self, reason: str) -> None:
        """Note why something stays unknown however much is known of the inputs' shapes."""
        self.reason = reason
        self.inherent = True


Row: TypeAlias = Callable[[Call], Fact | Sequence[Fact]]
"""How an operator's outputs follow from its inputs."""


def normalize(axis: int, rank: int) -> int:
    """Count an axis from the front; Contradiction where there is no such axis."""
    if not -rank <= axis < rank:
        raise Contradiction(f"axis {axis} does not exist in {rank} axes")
    return axis % rank
