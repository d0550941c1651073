"""The places in a model where tensors stand, and how to put others there for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import onnx_ir as ir

from onnxopt.io.structure import with_value
from onnxopt.io.weights import nbytes


class Slot(NamedTuple):
    """A tensor of the model, and a function that puts another in its place and returns the undo."""

    tensor: ir.TensorProtocol
    swap: Callable[[ir.TensorProtocol], Callable[[], None]]


def slots(model: ir.Model) -> Iterator[Slot]:
    """Find every weight and every constant, in subgraphs and functions too."""
    yield from _initializers(model.graph)
    bodies: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for body in bodies:
        for subgraph in body.subgraphs():
            yield from _initializers(subgraph)
        for node in body.all_nodes():
            for attribute in node.attributes.values():
                if attribute.type is ir.AttributeType.TENSOR and not attribute.is_ref():
                    yield Slot(attribute.value, _attribute_swap(node, attribute))
                elif attribute.type is ir.AttributeType.TENSORS and not attribute.is_ref():
                    for index, tensor in enumerate(attribute.value):
                        yield Slot(tensor, _attribute_swap(node, attribute, index))


def model_size(model: ir.Model) -> int:
    """Return how many bytes the model's weights and constants take; none of them is read."""
    return sum(nbytes(slot.tensor) for slot in slots(model))


def from_files(found: Iterable[Slot]) -> list[tuple[Slot, ir.TensorProtocol]]:
    """Read the tensors that lie in data files; return them as stand-ins for their slots."""
    return [
        (slot, _read(slot.tensor)) for slot in found if isinstance(slot.tensor, ir.ExternalTensor)
    ]


def _read(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.Tensor(tensor.numpy(), tensor.dtype, name=tensor.name, doc_string=tensor.doc_string)


@contextlib.contextmanager
def swapped(stand_ins: Iterable[tuple[Slot, ir.TensorProtocol]]) -> Iterator[None]:
    """Put stand-ins into their slots, and the tensors back at the end."""
    with contextlib.ExitStack() as undo:
        for slot, stand_in in stand_ins:
            undo.callback(slot.swap(stand_in))
        yield


def _initializers(graph: ir.Graph) -> Iterator[Slot]:
    for value in graph.initializers.values():
        if value.const_value is not None:
            yield Slot(value.const_value, _initializer_swap(value, value.const_value))


def _initializer_swap(
    value: ir.Value, tensor: ir.TensorProtocol
) -> Callable[[ir.TensorProtocol], Callable[[], None]]:
    def put(other: ir.TensorProtocol) -> None:
        value.const_value = other

    def swap(other: ir.TensorProtocol) -> Callable[[], None]:
        put(other)
        return lambda: put(tensor)

    return swap


def _attribute_swap(
    node: ir.Node, attribute: ir.Attr, index: int | None = None
) -> Callable[[ir.TensorProtocol], Callable[[], None]]:
    def put(other: ir.Attr) -> None:
        node.attributes[attribute.name] = other

    def swap(other: ir.TensorProtocol) -> Callable[[], None]:
        if index is None:
            put(with_value(attribute, other))
        else:
            present = list(node.attributes[attribute.name].as_tensors())
            put(with_value(attribute, [*present[:index], other, *present[index + 1 :]]))
        return lambda: put(attribute)

    return swap
