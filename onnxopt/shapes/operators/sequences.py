"""Sequences and optionals: the type is followed, and the shape where all elements share one."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.shapes.call import Call, Row, normalize
from onnxopt.shapes.fact import NOTHING, Fact, join

INT64 = ir.DataType.INT64


def _sequence_of(fact: Fact) -> Fact:
    if fact.dtype is None:
        return NOTHING
    element = fact.type if fact.type is not None else ir.TensorType(fact.dtype)
    return Fact(fact.dtype, fact.shape, None, ir.SequenceType(element))


def _element_of(fact: Fact) -> Fact:
    if not isinstance(fact.type, ir.SequenceType | ir.OptionalType):
        return NOTHING
    inner = fact.type.elem_type
    if isinstance(inner, ir.TensorType):
        return Fact(inner.dtype, fact.shape)
    return Fact(inner.dtype, fact.shape, None, inner)


def _construct(call: Call) -> Fact:
    """Collect tensors."""
    joined = call.fact(0)._replace(content=None)
    for index in range(1, len(call.inputs)):
        joined = join(joined, call.fact(index)._replace(content=None))
    return _sequence_of(joined)


def _empty(call: Call) -> Fact:
    return _sequence_of(Fact(ir.DataType(call.integer("dtype", 1))))


def _at(call: Call) -> Fact:
    """Take one tensor out."""
    fact = _element_of(call.fact(0))
    if fact.shape is None or None in fact.shape:
        call.depends_on_data("tensors of different shapes may lie in its sequence")
    return fact


def _insert(call: Call) -> Fact:
    """Join what the sequence holds with the tensor that is put into it."""
    sequence, tensor = call.fact(0), call.fact(1)
    element = _element_of(sequence)
    if element.dtype is None:
        return _sequence_of(tensor._replace(shape=None, content=None))
    return _sequence_of(join(element, tensor._replace(content=None)))


def _erase(call: Call) -> Fact:
    return call.fact(0)


def _length(_: Call) -> Fact:
    return Fact(INT64, ())


def _split(call: Call) -> Fact:
    """Cut into single slices by default; ``keepdims=0`` drops the axis then."""
    fact = call.fact(0)
    if fact.dtype is None or fact.shape is None:
        return _sequence_of(fact)
    axis = normalize(call.integer("axis", 0), len(fact.shape))
    head, tail = fact.shape[:axis], fact.shape[axis + 1 :]
    if not call.has(1):
        middle = (1,) if call.integer("keepdims", 1) else ()
        return _sequence_of(Fact(fact.dtype, (*head, *middle, *tail)))
    sizes = call.numbers(1)
    own = fact.shape[axis]
    equal = sizes is not None and (
        len(set(sizes)) == 1
        and (call.shape(1) != () or (isinstance(own, int) and own % sizes[0] == 0))
    )
    return _sequence_of(Fact(fact.dtype, (*head, sizes[0] if equal and sizes else None, *tail)))


def _concat(call: Call) -> Fact:
    """Lay the tensors of a sequence side by side; how many there are is not known."""
    fact = _element_of(call.fact(0))
    call.depends_on_data("how many tensors lie in its sequence is not known")
    if fact.shape is None:
        return Fact(fact.dtype)
    new = call.integer("new_axis", 0)
    axis = normalize(call.integer("axis", 0), len(fact.shape) + new)
    return Fact(fact.dtype, (*fact.shape[:axis], None, *fact.shape[axis + 1 - new :]))


def _optional(call: Call) -> Fact:
    """Wrap a value, or none of the given type."""
    if not call.has(0):
        attribute = call.attributes.get("type")
        if attribute is None:
            return NOTHING
        given = attribute.value
        return Fact(given.type.dtype, None, None, ir.OptionalType(given.type))
    fact = call.fact(0)
    if fact.dtype is None:
        return NOTHING
    inner = fact.type if fact.type is not None else ir.TensorType(fact.dtype)
    return Fact(fact.dtype, fact.shape, None, ir.OptionalType(inner))


def _optional_get(call: Call) -> Fact:
    fact = call.fact(0)
    return _element_of(fact) if isinstance(fact.type, ir.OptionalType) else fact


def _optional_has(_: Call) -> Fact:
    return Fact(ir.DataType.BOOL, ())


def _sequence_map(call: Call) -> Sequence[Fact]:
    """Run the body on each tensor; the outputs are sequences of what it gives."""
    inputs = [
        _element_of(fact) if isinstance(fact.type, ir.SequenceType) else fact
        for fact in map(call.fact, range(len(call.inputs)))
    ]
    given = call.around.body(call.graph("body"), [fact._replace(content=None) for fact in inputs])
    return [_sequence_of(fact._replace(content=None)) for fact in given]


ROWS: dict[str, Row] = {
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceAt": _at,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SequenceLength": _length,
    "SequenceMap": _sequence_map,
    "SplitToSequence": _split,
    "ConcatFromSequence": _concat,
    "Optional": _optional,
    "OptionalGetElement": _optional_get,
    "OptionalHasElement": _optional_has,
}
