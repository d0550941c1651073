"""Compute a model's outputs as it is written, whatever its size."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.segments import reads, window
from onnxopt.target import Backend, Feeds, Outputs, Session

Run = Callable[[Feeds], Outputs]
"""Computes the outputs of a model that is open already."""

Watch = Callable[[Feeds], Iterator[tuple[ir.Value, np.ndarray]]]
"""Computes values inside a model that is open already, and hands them out as they come."""

WATCHED = 16
"""Values that one segment hands out."""

SEGMENT_NODES = 2_000
"""Opening a session costs the square of the number of nodes; from here on it shows."""

SEGMENT_BYTES = 256 << 20
"""Weights that are held at one time, where no single node needs more."""


class Evaluator:
    """Runs models on a backend whose own optimizer is off, large ones in segments.

    A graph of more than ``nodes`` nodes or ``weights`` bytes of weights is cut in its order into
    segments, each a small model; values pass from one to the next and are freed after their last
    use. The result is the same as in one piece, because every operator runs alone; to the bit but
    for half precision, which a runtime may widen between operators and not between segments.
    """

    def __init__(
        self, backend: Backend, nodes: int = SEGMENT_NODES, weights: int = SEGMENT_BYTES
    ) -> None:
        self._backend = backend
        self._nodes = nodes
        self._weights = weights

    def __call__(self, model: ir.Model, feeds: Feeds) -> Outputs:
        """Return the model's outputs by name.

        Raises BackendError or ModelError when the runtime refuses the model or the feeds.
        """
        with self.opened(model) as run:
            return run(feeds)

    @contextlib.contextmanager
    def opened(self, model: ir.Model | Path) -> Iterator[Run]:
        """Open a model, or the file of one, for several runs."""
        if isinstance(model, Path):
            with self._backend.open(model) as session:
                yield session.run
            return
        small = sum(map(_size, model.graph.initializers.values())) <= self._weights
        groups = [] if small and len(model.graph) <= self._nodes else self._groups(model.graph)
        if len(groups) <= 1:
            with self._backend.open(model) as session:
                yield session.run
            return
        with contextlib.ExitStack() as kept:
            yield _Segmented(self._backend, model, groups, kept if small else None)

    @contextlib.contextmanager
    def watched(self, model: ir.Model, values: Sequence[ir.Value]) -> Iterator[Watch]:
        """Open a model to look at values inside its main graph, for several runs.

        It runs in segments that hand out a few of the values each, so that no more than those and
        what is still to be read are in memory at one time.
        """
        wanted = frozenset(map(id, values))
        groups = self._groups(model.graph, wanted)
        small = sum(map(_size, model.graph.initializers.values())) <= self._weights
        with contextlib.ExitStack() as kept:
            yield _Segmented(self._backend, model, groups, kept if small else None, wanted).watch

    def _groups(self, graph: ir.Graph, wanted: frozenset[int] = frozenset()) -> list[list[ir.Node]]:
        groups: list[list[ir.Node]] = [[]]
        held: set[int] = set()
        room, looks = self._weights, WATCHED
        known = {id(v): size for v in graph.initializers.values() if (size := _size(v))}
        for node in graph:
            sizes = {id(v): known[id(v)] for v in reads(node) if id(v) in known}
            fresh = sum([size for key, size in sizes.items() if key not in held])
            if len(groups[-1]) >= self._nodes or (fresh > room and held) or not looks:
                groups.append([])
                held, room, fresh = set(), self._weights, sum(sizes.values())
                looks = WATCHED
            groups[-1].append(node)
            if wanted:
                looks = max(0, looks - sum(id(value) in wanted for value in node.outputs))
            held |= sizes.keys()
            room -= fresh
        return groups


def evaluator(backend: Backend) -> Evaluator:
    """Return an ``Evaluate`` on a backend; its session options should ask for no optimization."""
    return Evaluator(backend)


def evaluate_each(
    evaluate: Callable[[ir.Model, Feeds], Outputs], model: ir.Model, feeds: Iterable[Feeds]
) -> Iterator[Outputs]:
    """Run a model on each of the feeds, opening it once where the ``Evaluate`` can."""
    if isinstance(evaluate, Evaluator):
        with evaluate.opened(model) as run:
            yield from map(run, feeds)
    else:
        yield from (evaluate(model, each) for each in feeds)


def _size(value: ir.Value) -> int:
    return value.const_value.nbytes if value.is_initializer() and value.const_value else 0


@dataclasses.dataclass(frozen=True)
class _Segment:
    """Nodes that are run together."""

    nodes: list[ir.Node]
    outputs: list[ir.Value]
    """What later segments or the graph's outputs need of it."""
    frees: list[ir.Value]
    """What nothing reads after it."""


class _Segmented:
    """Runs the segments one after the other; sessions stay open in ``kept`` if there is one."""

    def __init__(
        self,
        backend: Backend,
        model: ir.Model,
        groups: Sequence[list[ir.Node]],
        kept: contextlib.ExitStack | None,
        wanted: frozenset[int] = frozenset(),
    ) -> None:
        self._wanted = wanted
        self._backend = backend
        self._model = model
        self._kept = kept
        self._open: dict[int, tuple[Session, list[ir.Value]]] = {}
        self._segments = _planned(model.graph, groups, wanted)

    def __call__(self, feeds: Feeds) -> Outputs:
        live: dict[int, np.ndarray] = {}
        for _ in self._steps(feeds, live):
            pass
        return {value.name or "": _taken(live, value) for value in self._model.graph.outputs}

    def watch(self, feeds: Feeds) -> Iterator[tuple[ir.Value, np.ndarray]]:
        live: dict[int, np.ndarray] = {}
        for segment in self._steps(feeds, live):
            for value in segment.outputs:
                if id(value) in self._wanted:
                    yield value, live[id(value)]

    def _steps(self, feeds: Feeds, live: dict[int, np.ndarray]) -> Iterator[_Segment]:
        """Run segment after segment; ``live`` holds what is there to be read."""
        for value in self._model.graph.inputs:
            if value.name is not None and value.name in feeds:
                live[id(value)] = feeds[value.name]
        for at, segment in enumerate(self._segments):
            if segment.outputs:
                live |= self._run(at, segment, live)
            yield segment
            for value in segment.frees:
                live.pop(id(value), None)

    def _run(
        self, at: int, segment: _Segment, live: dict[int, np.ndarray]
    ) -> dict[int, np.ndarray]:
        if at in self._open:
            return _computed(*self._open[at], segment, live)
        model, inputs = window(self._model, segment.nodes, segment.outputs, live.keys())
        for inside, outside in zip(model.graph.inputs, inputs, strict=True):
            if not outside.is_graph_input():
                _retype(inside, _taken(live, outside))
        for inside, outside in zip(model.graph.outputs, segment.outputs, strict=True):
            if outside.is_graph_output():  # what is written at others may be out of date
                inside.type, inside.shape = outside.type, outside.shape
        session = self._backend.open(model)
        if self._kept is None:
            with session:
                return _computed(session, inputs, segment, live)
        self._open[at] = (self._kept.enter_context(session), inputs)
        return _computed(session, inputs, segment, live)


def _planned(
    graph: ir.Graph, groups: Sequence[list[ir.Node]], wanted: frozenset[int]
) -> list[_Segment]:
    """Find what each segment must hand on or out, and what nobody needs after it."""
    needed = {id(value) for value in graph.outputs}
    segments: list[_Segment] = []
    for nodes in reversed(groups):
        used = {id(value): value for node in nodes for value in reads(node)}
        made = [value for node in nodes for value in node.outputs]
        frees = [value for key, value in used.items() if key not in needed]
        frees += [value for value in made if id(value) in wanted and id(value) not in needed]
        outputs = [value for value in made if id(value) in needed or id(value) in wanted]
        segments.append(_Segment(nodes, outputs, frees))
        needed |= used.keys()
    return segments[::-1]


def _computed(
    session: Session, inputs: Sequence[ir.Value], segment: _Segment, live: dict[int, np.ndarray]
) -> dict[int, np.ndarray]:
    results = session.run({value.name or "": _taken(live, value) for value in inputs})
    return {id(value): results[value.name or ""] for value in segment.outputs}


def _taken(live: dict[int, np.ndarray], value: ir.Value) -> np.ndarray:
    if id(value) in live:
        return live[id(value)]
    if value.is_initializer() and value.const_value is not None:
        return value.const_value.numpy()
    raise ModelError(
        f"'{value.name}' is read before anything computes it: feed it, or sort the graph's nodes"
    )


def _retype(value: ir.Value, array: np.ndarray | list[np.ndarray]) -> None:
    """Declare the type an array has; sequences are lists, and empty ones keep theirs."""
    if isinstance(array, list):
        if array:
            value.type = ir.SequenceType(ir.TensorType(_data_type(array[0])))
    else:
        value.type = ir.TensorType(_data_type(array))
    value.shape = None


def _data_type(array: np.ndarray) -> ir.DataType:
    if array.dtype.kind in "OUS":
        return ir.DataType.STRING
    return ir.DataType.from_numpy(array.dtype)
