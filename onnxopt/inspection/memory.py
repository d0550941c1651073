"""Which activations are alive when, in the order in which the nodes stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from onnxopt import graph
from onnxopt.costs.count import name_of
from onnxopt.costs.place import bytes_of
from onnxopt.ops import ELEMENTWISE, OVERWRITERS, VIEWS, key
from onnxopt.shapes.engine import Engine
from onnxopt.shapes.extent import evaluated

_DEEPEST = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of activations: inputs, outputs and everything between, weights and workspaces not.

    A tensor lives from the node that makes it to the last one that reads it, an output of the model
    to the end. Views share the bytes of their input, and elementwise nodes write over an input of
    the same size that nobody needs any more. Running node by node in this order needs no less.
    """

    peak: int
    at: str
    """The node that runs when the peak is reached."""
    separate_peak: int
    """Were every node but a view to write its outputs to bytes of their own."""
    unknown: int
    """Tensors whose size is not known; they count nothing."""
    live: tuple[tuple[str, int], ...]
    """Each node of the main graph, in order, with the bytes alive while it runs."""


def liveness(
    main: ir.Graph,
    engine: Engine,
    sizes: Mapping[str, int],
    idle: frozenset[ir.Node] = frozenset(),
) -> Memory:
    """Follow the activations of a graph at sizes; bodies with ``idle`` nodes hold none."""
    reuse = _Walk(engine, sizes, idle, overwrite=True)
    live = reuse.live(main, 0)
    separate = _Walk(engine, sizes, idle, overwrite=False).live(main, 0)
    at, peak = max(live, key=lambda pair: pair[1], default=("", 0))
    return Memory(
        peak=peak,
        at=at,
        separate_peak=max((count for _, count in separate), default=0),
        unknown=len(reuse.unknown),
        live=tuple(live),
    )


class _Buffers:
    """Which bytes a value lies in, how many they are, and the last node that needs them."""

    def __init__(self) -> None:
        self.of: dict[ir.Value, int] = {}
        self.sizes: list[int] = []
        self.last: list[int] = []
        self.owned: list[bool] = []

    def open(self, value: ir.Value, size: int, last: int, owned: bool) -> int:
        self.of[value] = len(self.sizes)
        self.sizes.append(size)
        self.last.append(last)
        self.owned.append(owned)
        return self.of[value]

    def dies(self, buffer: int, at: int) -> bool:
        """Return whether a node is the last to need bytes that belong to no caller."""
        return self.owned[buffer] and self.last[buffer] == at

    def join(self, value: ir.Value, buffer: int, last: int) -> None:
        self.of[value] = buffer
        self.last[buffer] = max(self.last[buffer], last)


class _Walk:
    def __init__(
        self,
        engine: Engine,
        sizes: Mapping[str, int],
        idle: frozenset[ir.Node],
        *,
        overwrite: bool,
    ) -> None:
        self.engine = engine
        self.idle = idle
        self.sizes = sizes
        self.overwrite = overwrite
        self.unknown: set[ir.Value] = set()

    def live(self, home: ir.Graph, depth: int) -> list[tuple[str, int]]:
        nodes = list(home)
        last = _last_reads(home, nodes)
        buffers = _Buffers()
        for value in home.inputs:
            if not value.is_initializer():
                size = 0 if depth else self._size(value)  # a body looks at what is outside
                buffers.open(value, size, last.get(value, 0), owned=False)
        for at, node in enumerate(nodes):
            self._place(node, at, last, buffers)
        return self._sweep(nodes, buffers, depth)

    def _place(
        self, node: ir.Node, at: int, last: Mapping[ir.Value, int], buffers: _Buffers
    ) -> None:
        for index, value in enumerate(node.outputs):
            if value.name == "" or self.engine.constant(value) is not None:
                continue
            until = last.get(value, at)
            size = self._size(value)
            if key(node) in VIEWS and node.inputs and node.inputs[0] not in buffers.of:
                size = 0  # a view of a weight
            found = self._shared(node, index, at, size, buffers)
            if found is None:
                buffers.open(value, size, until, owned=True)
            else:
                buffers.join(value, found, until)

    def _shared(
        self, node: ir.Node, index: int, at: int, size: int, buffers: _Buffers
    ) -> int | None:
        """Return the buffer of an input that an output may take over."""
        if index or not node.inputs:
            return None
        inputs = [buffers.of.get(value) for value in node.inputs if value is not None]
        if key(node) in VIEWS:
            return inputs[0] if inputs else None
        alone = node.op_type in ELEMENTWISE and not node.domain
        if not self.overwrite or not (alone or key(node) in OVERWRITERS):
            return None
        for found in inputs[:1] if alone else inputs:
            if found is not None and buffers.dies(found, at) and buffers.sizes[found] == size:
                return found
        return None

    def _sweep(self, nodes: list[ir.Node], buffers: _Buffers, depth: int) -> list[tuple[str, int]]:
        dying: dict[int, list[int]] = {}
        for buffer, last in enumerate(buffers.last):
            dying.setdefault(last, []).append(buffer)
        started = {buffer for buffer, owned in enumerate(buffers.owned) if not owned}
        current = sum(buffers.sizes[buffer] for buffer in started)
        found = []
        for at, node in enumerate(nodes):
            made = {buffers.of[value] for value in node.outputs if value in buffers.of} - started
            started |= made
            outputs = sum(buffers.sizes[buffer] for buffer in made)
            current += outputs
            inside = self._inside(node, depth)  # a body's outputs are those of its node
            found.append((name_of(node), current + max(0, inside - outputs)))
            current -= sum(buffers.sizes[buffer] for buffer in dying.get(at, ()))
        return found

    def _inside(self, node: ir.Node, depth: int) -> int:
        """Return the peak of the bodies of a node, of which one runs at a time."""
        if not node.attributes or depth >= _DEEPEST:
            return 0
        running = (body for body in graph.subgraphs(node) if self.idle.isdisjoint(body))
        bodies = (self.live(body, depth + 1) for body in running)
        return max((count for body in bodies for _, count in body), default=0)

    def _size(self, value: ir.Value) -> int:
        size = evaluated(bytes_of(self.engine.fact(value)), self.sizes)
        if isinstance(size, int):
            return size
        self.unknown.add(value)
        return 0


def _last_reads(home: ir.Graph, nodes: list[ir.Node]) -> dict[ir.Value, int]:
    """Return, by value, the place of the last node that reads it, from inside a body too."""
    last = {}
    for at, node in enumerate(nodes):
        for value in _read(node):
            last[value] = at
    last.update(dict.fromkeys(home.outputs, len(nodes)))
    return last


def _read(node: ir.Node) -> Iterator[ir.Value]:
    yield from (value for value in node.inputs if value is not None)
    if node.attributes:
        for body in graph.subgraphs(node):
            for inner in graph.nested(body):
                yield from inner.outputs
                for inside in inner:
                    yield from (value for value in inside.inputs if value is not None)
