"""Questions and small edits on onnx-ir graphs that passes and rules share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.ops import COPIES

DEFAULTS_SINCE = 4
"""The version of the file format from which an initializer that is an input too is a default, which
callers may override; before, each had to be one."""


class Names:
    """Hands out value names that no graph of a model uses, whatever scope they are used in."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._taken: set[str] | None = None

    def fresh(self, base: str) -> str:
        """Return ``base``, or ``base_1``, ``base_2``, … where it is taken, and take it."""
        if self._taken is None:
            self._taken = set(_value_names(self._model))
        name, count = base, 0
        while not name or name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name


def _value_names(model: ir.Model) -> Iterator[str]:
    for graph in graphs(model):
        yield from (value.name or "" for value in graph.inputs)
        yield from graph.initializers
        for node in graph:
            yield from (value.name or "" for value in node.outputs)


def subgraphs(node: ir.Node) -> Iterable[ir.Graph]:
    """Return the graphs in a node's attributes (the bodies of If, Loop and Scan)."""
    return _bodies(node) if node.attributes.data else ()  # a plain dict, quickly asked


def has_bodies(node: ir.Node) -> bool:
    """Return whether a node has graphs in it, which may be empty and then count as false."""
    return any(True for _ in subgraphs(node))


def _bodies(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH and not attribute.is_ref():
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS and not attribute.is_ref():
            yield from attribute.as_graphs()


def nested(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield a graph and every graph inside it, outer ones first, without recursion."""
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        for node in current:
            if node.attributes.data:
                pending.extend(_bodies(node))


def graphs(model: ir.Model) -> Iterator[ir.Graph]:
    """Yield every graph of a model: the main one, those inside it, then those of its functions."""
    yield from nested(model.graph)
    for function in model.functions.values():
        yield from nested(function.graph)


def weights(model: ir.Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Yield the initializers of all graphs, and what Constant nodes hold as tensors."""
    for home in graphs(model):
        for value in home.initializers.values():
            if value.const_value is not None:
                yield value, value.const_value
        for node in home:
            if node.op_type != "Constant" or node.domain or len(node.outputs) != 1:
                continue
            attribute = node.attributes.get("value")
            if attribute is None or attribute.is_ref():
                continue
            if attribute.type is ir.AttributeType.TENSOR and attribute.value is not None:
                yield node.outputs[0], attribute.value


def weight_bytes(model: ir.Model) -> int:
    """Return how many bytes the weights of a model take; none of them is read."""
    return sum(weight.nbytes for _, weight in weights(model))


def tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the constant tensor behind a value, without reading it; None if it may vary.

    An initializer that is also a graph input is a default which the caller may override.
    """
    if value is None:
        return None
    if value.is_initializer():
        return None if value.is_graph_input() else value.const_value
    node = value.producer()
    if node is None or node.op_type != "Constant" or node.domain:
        return None
    attribute = next(iter(node.attributes.values()), None)
    if attribute is None or attribute.is_ref():
        return None
    return _constant_attribute(attribute)


def _constant_attribute(attribute: ir.Attr) -> ir.TensorProtocol | None:
    match attribute.name:
        case "value":
            held: ir.TensorProtocol = attribute.value  # as_tensor() would check it, at some cost
            return held
        case "value_float" | "value_floats":
            return ir.tensor(np.asarray(attribute.value, dtype=np.float32))
        case "value_int" | "value_ints":
            return ir.tensor(np.asarray(attribute.value, dtype=np.int64))
        case _:
            return None


def array(value: ir.Value | None, *, at_most: int | None = None) -> np.ndarray | None:
    """Return the contents of a constant of at most so many elements, None of any other value."""
    found = tensor(value)
    if found is None or (at_most is not None and found.size > at_most):
        return None
    return found.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """Return the single number a constant holds (its elements may all be that number)."""
    found = array(value, at_most=1)
    if found is None or found.size != 1 or found.dtype.kind not in "fiub":
        return None
    return float(found.reshape(())[()])


def ints(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return the contents of a small constant of integers, flattened."""
    found = array(value, at_most=4096)
    if found is None or found.dtype.kind not in "iu":
        return None
    return tuple(int(element) for element in found.reshape(-1))


def _shape(value: ir.Value | None) -> ir.Shape | None:
    """Return the shape of a tensor; a sequence carries that of its elements, which is another."""
    if value is None or type(value.type) in _CONTAINERS:
        return None
    return value.shape


_CONTAINERS = frozenset((ir.SequenceType, ir.OptionalType))
"""By class, for ``isinstance`` of these, which are protocols, costs more than all the rest here."""


def dims(value: ir.Value | None) -> tuple[int | str | None, ...] | None:
    """Return a value's shape as integers, names and None; None where the rank is unknown."""
    shape = _shape(value)
    return None if shape is None else tuple(d if isinstance(d, int) else d.value for d in shape)


def static(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return a value's shape where every dimension is a known integer."""
    shape = _shape(value)
    if shape is None or not shape.is_static():
        return None
    return tuple(d for d in shape if isinstance(d, int))


def rank(value: ir.Value | None) -> int | None:
    """Return the number of dimensions, where it is known."""
    shape = _shape(value)
    return None if shape is None else len(shape)


def same_shape(one: ir.Value | None, other: ir.Value | None) -> bool:
    """Return whether two values are known to have one shape: equal integers and equal names."""
    left, right = dims(one), dims(other)
    return left is not None and left == right and None not in left


def attr_int(node: ir.Node, name: str, default: int) -> int:
    """Return an integer attribute, or its default where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def attr_ints(node: ir.Node, name: str) -> tuple[int, ...] | None:
    """Return a list of integers, None where it is absent."""
    attribute = node.attributes.get(name)
    return None if attribute is None else tuple(attribute.as_ints())


def attr_float(node: ir.Node, name: str, default: float) -> float:
    """Return a number attribute, or its default where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def attr_str(node: ir.Node, name: str, default: str) -> str:
    """Return a string attribute, or its default where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def tensor_of(contents: np.ndarray, dtype: ir.DataType | None = None) -> ir.TensorProtocol:
    """Return an array as a tensor; ``dtype`` tells types apart that numpy does not."""
    made = np.asarray(contents, order="C")
    return ir.tensor(made, dtype=dtype) if made.dtype.kind == "O" else ir.Tensor(made, dtype=dtype)


def shape_of(held: ir.TensorProtocol) -> ir.Shape:
    """Return the shape of a tensor, for a value to carry."""
    return ir.Shape(int(size) for size in held.shape.numpy())


def constant(contents: np.ndarray | ir.TensorProtocol, name: str | None = None) -> ir.Value:
    """Return a value that holds a constant; it belongs to no graph yet."""
    held = tensor_of(contents) if isinstance(contents, np.ndarray) else contents
    return ir.Value(
        name=name,
        type=ir.TensorType(held.dtype),
        shape=shape_of(held),
        const_value=held,
    )


def used(value: ir.Value) -> bool:
    """Return whether a node reads the value or its graph returns it."""
    return value.is_graph_output() or bool(value.uses())


def sole_use(value: ir.Value) -> bool:
    """Return whether exactly one input of one node reads the value and no graph returns it."""
    return not value.is_graph_output() and len(value.uses()) == 1


def opset(model: ir.Model, domain: str = "") -> int:
    """Return the version of an operator set that a model imports, 0 where it imports none."""
    return model.opset_imports.get(domain, 0)


def origin(value: ir.Value) -> ir.Value:
    """Return the value that a value is a copy of, through any number of copies; else itself."""
    producer = value.producer()
    while producer is not None and (producer.domain, producer.op_type) in COPIES:
        source = producer.inputs[0]
        if source is None:
            break
        value, producer = source, source.producer()
    return value


def detach(node: ir.Node) -> None:
    """Let go of all inputs, so that they no longer count the node as a use."""
    for index, value in enumerate(node.inputs):
        if value is not None:
            node.replace_input_with(index, None)


def release(node: ir.Node) -> None:
    """Let go of the inputs of a node and of all nodes inside its bodies, which reach outside."""
    detach(node)
    for graph in subgraphs(node):
        for body in list(nested(graph)):
            for inside in body:
                detach(inside)


def remove_dead(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    """Remove those of the nodes that nothing uses, then what only they used; return them all."""
    removed: list[ir.Node] = []
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node.graph is None or any(used(value) for value in node.outputs):
            continue
        inputs = node.inputs
        release(node)
        node.graph.remove(node)
        removed.append(node)
        makers = [value.producer() for value in inputs if value is not None]
        pending += [maker for maker in makers if maker is not None]
    return removed


def needed_by(node: ir.Node) -> list[ir.Node]:
    """Return a node and those that nothing needs once it is gone, the last first."""
    gone = {node: None}
    pending = [node]
    while pending:
        for value in pending.pop().inputs:
            maker = None if value is None else value.producer()
            if maker is None or maker in gone:
                continue
            uses = [use.node for made in maker.outputs for use in made.uses()]
            seen = any(made.is_graph_output() for made in maker.outputs)
            if not seen and all(user in gone for user in uses):
                gone[maker] = None
                pending.append(maker)
    return list(gone)


def replaceable(old: ir.Value, new: ir.Value) -> bool:
    """Return whether ``new`` can take the place of ``old``.

    Only for a graph's output may it not: there the other must come from a node of the same graph,
    to take the name over, and be no output itself.
    """
    if not old.is_graph_output():
        return True
    producer = new.producer()
    return producer is not None and not new.is_graph_output() and producer.graph is old.graph


def replace(old: ir.Value, new: ir.Value, *, fresh: bool = False) -> None:
    """Let ``new`` take the place of ``old`` everywhere, where it is ``replaceable``.

    A graph's output keeps its name, type and shape. A ``fresh`` value, made to replace the old one,
    takes over its name too, and what was known of its type and shape.
    """
    output = old.is_graph_output()
    if output or new.shape is None:
        new.shape = old.shape
    if output or new.type is None:
        new.type = old.type
    if output:
        new.metadata_props.update(old.metadata_props)
    if output or fresh:
        name, old.name = old.name, None
        new.name = name
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def adopt(home: ir.Graph, before: ir.Node, body: ir.Graph, names: Names) -> Sequence[ir.Node]:
    """Move the nodes and initializers of a body into the graph around it, under fresh names."""
    for value in list(body.initializers.values()):
        del body.initializers[value.name or ""]
        value.name = names.fresh(value.name or "const")
        home.register_initializer(value)
    moved: Sequence[ir.Node] = list(body)
    body.remove(moved)
    for inner in moved:
        for output in inner.outputs:
            if output.name:
                output.name = names.fresh(output.name)
    home.insert_before(before, moved)
    return moved
