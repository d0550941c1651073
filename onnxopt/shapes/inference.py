"""Shapes of a whole model, of one fresh node, and contents of small tensors."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt.graph import DEFAULTS_SINCE
from onnxopt.shapes.annotations import Change, annotated, change
from onnxopt.shapes.contents import INTEGERS
from onnxopt.shapes.dim import Dim, raw
from onnxopt.shapes.engine import Engine, named
from onnxopt.shapes.extent import Dims, Extent, evaluated, static
from onnxopt.shapes.fact import Content, Fact


class Stop(NamedTuple):
    """Where inference stopped, and why, in one sentence."""

    node: ir.Node
    reason: str

    def __str__(self) -> str:
        kind = f"{self.node.domain}::" if self.node.domain else ""
        return f"{kind}{self.node.op_type} '{self.node.name}': {self.reason}."


class Memo:
    """What inference knows of a graph, for questions while the graph does not change.

    A memo does not notice when the graph changes: drop it then. Without one, `symbolic_value`
    computes its answer from the graph as it is.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine if engine is not None else Engine()


@dataclasses.dataclass(frozen=True)
class Inference:
    """What inferring a model found: changes of annotations, and where it stopped."""

    changes: tuple[Change, ...]
    stops: tuple[Stop, ...]
    memo: Memo

    @property
    def changed(self) -> int:
        """How many values are annotated otherwise than before."""
        return len(self.changes)

    def apply(self) -> None:
        """Write the annotations into the model."""
        for item in self.changes:
            item.apply()


def analyse(model: ir.Model, sizes: Mapping[str, int] | None = None) -> Inference:
    """Infer the types and shapes of all values, in subgraphs too, and leave the model as it is.

    ``sizes`` are taken for the extents of inputs that have these names. Where they are given, even
    empty, an extent without a name is called ``input:axis``.

    The interface of the model is taken at its word: extents of inputs with one name are equal, and
    are integers that are zero or more. Of other annotations only what does not contradict is used.
    """
    graph = model.graph
    engine = _walked(model, sizes=sizes)
    interface = {*graph.inputs, *graph.outputs}
    changes = _changes(engine, interface)
    stops = tuple(Stop(node, reason) for node, reason in engine.stops.items())
    return Inference(changes, stops, Memo(engine))


def _walked(
    model: ir.Model,
    assumed: Mapping[ir.Value, Fact] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Engine:
    given = {
        value: annotated(value) if sizes is None else _sized(value, sizes)
        for value in model.graph.inputs
    }
    engine = Engine(
        model.graph.opset_imports,
        inputs_count=model.ir_version < DEFAULTS_SINCE,
        free=_free_names(given.values()),
        functions=frozenset((domain, name) for domain, name, _ in model.functions),
        assumed=assumed,
    )
    if sizes is not None:
        engine.facts |= {value: named(value, fact) for value, fact in given.items()}
    engine.walk(model.graph)
    return engine


def dead_end(model: ir.Model, node: ir.Node, branch: ir.Graph) -> ir.Node | None:
    """Return a node that could not run if an If of the main graph took this branch.

    None where there is none, or where that cannot be told. Such a node makes the whole model fail,
    so that a run which gives a result has taken the other branch.
    """
    plain = _walked(model)
    facts = [plain.fact(value) for value in branch.outputs]
    if plain.impossible or any(fact.shape is None for fact in facts):
        return None
    trial = _walked(model, dict(zip(node.outputs, facts, strict=True)))
    return next((found for found in model.graph if found in trial.impossible), None)


def infer(model: ir.Model) -> Inference:
    """Infer a model and write what is found; stale annotations are replaced.

    Never changed: annotations of the graph's inputs, and of its outputs where they have a rank
    (an element type). See `analyse` for what is assumed.
    """
    inference = analyse(model)
    inference.apply()
    return inference


def infer_node(node: ir.Node) -> None:
    """Write types and shapes of one node's outputs, from those its inputs are annotated with.

    Silent where something is unknown. Subgraphs of the node are inferred too.
    """
    engine = Engine()
    engine.visit(node)
    fixed = {value for value in node.outputs if value.is_graph_output()}
    for item in _changes(engine, fixed):
        item.apply()


def symbolic_value(value: ir.Value, memo: Memo | None = None) -> tuple[int | Dim, ...] | None:
    """Return the elements, row by row, of a small tensor of integers or booleans.

    They are integers or expressions over the names of extents; None where an element is not known.
    Computed from the graph as it is now, unless a memo is given. Annotated shapes are trusted.
    """
    content = _content(value, (memo or Memo()).engine)
    if content is None or any(not isinstance(item, int | Dim) for item in content):
        return None
    return tuple(item for item in content if isinstance(item, int | Dim))


def symbolic_shape(value: ir.Value, memo: Memo) -> Dims | None:
    """Return a value's shape as a memo knows it; an extent without a name is one of its own."""
    return memo.engine.fact(value).shape


def known_value(value: ir.Value, memo: Memo | None = None) -> np.ndarray | None:
    """Return a small tensor of integers or booleans that is proven to be constant.

    The array has the tensor's element type and shape. None where an element is unknown or
    symbolic, and for tensors of more than 1024 elements. See `symbolic_value` for the rest.
    """
    engine = (memo or Memo()).engine
    content = _content(value, engine)
    fact = engine.fact(value)
    shape = static(fact.shape)
    if content is None or fact.dtype not in INTEGERS or shape is None:
        return None
    if any(not isinstance(item, int) for item in content):
        return None
    return np.array(content, dtype=fact.dtype.numpy()).reshape(shape)


def _content(value: ir.Value, engine: Engine) -> Content | None:
    dtype = value.dtype
    return engine.content(value) if dtype is None or dtype in INTEGERS else None


def _sized(value: ir.Value, sizes: Mapping[str, int]) -> Fact:
    """Return an input as it is annotated, at these sizes; an axis without a name is given one."""
    fact = annotated(value)
    if fact.shape is None or value.shape is None:
        axes = itertools.takewhile(lambda axis: f"{value.name}:{axis}" in sizes, itertools.count())
        shape = tuple(sizes[f"{value.name}:{axis}"] for axis in axes)
        return fact._replace(shape=shape) if shape else fact
    extents: list[Extent] = []
    for axis, (text, size) in enumerate(zip(value.shape, fact.shape, strict=True)):
        known = raw(f"{value.name}:{axis}") if size is None else size
        name = "" if isinstance(text, int) else text.value or ""
        extents.append(sizes[name] if name in sizes else evaluated(known, sizes))
    return fact._replace(shape=tuple(extents))


def _free_names(inputs: Iterable[Fact]) -> frozenset[str]:
    names: set[str] = set()
    for fact in inputs:
        for size in fact.shape or ():
            if isinstance(size, Dim):
                names |= size.symbols()
    return frozenset(names)


def _changes(engine: Engine, interface: set[ir.Value]) -> tuple[Change, ...]:
    found = (change(value, engine.facts[value], value in interface) for value in engine.derived)
    return tuple(item for item in found if item is not None)
