"""A model run node by node for all samples at once, so that weights may change on the way."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context
from onnxopt.errors import ModelError
from onnxopt.segments import reads, window
from onnxopt.target import Feeds

ROOM = 1 << 28
"""Bytes of values that are held in memory; what is more lies in files."""

_DROP: int = getattr(mmap, "MADV_DONTNEED", 0)

Live = dict[int, np.ndarray]
"""Arrays by the ``id`` of the value that they are of."""


class Shelf:
    """Keeps arrays: in memory while there is room, else in files of a folder."""

    def __init__(self, folder: Path, room: int = ROOM) -> None:
        self._folder, self._room, self._made = folder, room, 0
        self._held: dict[int, Path | int] = {}

    def put(self, array: np.ndarray) -> np.ndarray:
        """Return the array, or what reads it from a file."""
        if array.nbytes <= self._room or not array.nbytes or array.dtype == object:
            self._room -= array.nbytes
            self._held[id(array)] = array.nbytes
            return array
        self._made += 1
        path = self._folder / f"{self._made}.bin"
        array.tofile(path)
        found = np.memmap(path, array.dtype, "r+", shape=array.shape)
        self._held[id(found)] = path
        return found

    def drop(self, array: np.ndarray) -> None:
        """Forget an array that was put; its file goes."""
        held = self._held.pop(id(array), 0)
        if isinstance(held, Path):
            held.unlink(missing_ok=True)
        else:
            self._room += held


def rest(arrays: Iterable[np.ndarray]) -> None:
    """Let go of the memory of arrays that lie in files; they are read again when needed."""
    for array in arrays:
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and _DROP:
            array.base.madvise(_DROP)


class Frontier:
    """The values of a model that are still to be read, for every sample.

    Nodes are run in a given order, a few at a time; what nobody reads any more is dropped. Use it
    as a context manager: it keeps files in a folder of its own.
    """

    def __init__(
        self, model: ir.Model, order: Sequence[ir.Node], feeds: Sequence[Feeds], context: Context
    ) -> None:
        self._model, self._context = model, context
        self._last = last_reads(model, order)
        self._folder = tempfile.TemporaryDirectory(prefix="onnxopt-")
        self._shelf = Shelf(Path(self._folder.name))
        names = {value.name: id(value) for value in model.graph.inputs}
        self.order = order
        self.at = 0
        """How many nodes of the order have been run."""
        self.live: list[Live] = [
            {names[name]: array for name, array in each.items() if name in names} for each in feeds
        ]

    def __enter__(self) -> Frontier:
        return self

    def __exit__(self, *_: object) -> None:
        self.live.clear()
        self._folder.cleanup()

    def advance(self, stop: int) -> None:
        """Run all nodes before the ``stop``-th for every sample."""
        for _ in self.steps(stop):
            pass

    def steps(self, stop: int) -> Iterator[Live]:
        """Run as ``advance`` does; yield what is live, and what was, after each sample."""
        nodes = self.order[self.at : stop]
        made = [value for node in nodes for value in node.outputs]
        wanted = [value for value in made if self._last.get(id(value), -1) >= stop]
        start, self.at = self.at, stop
        if not wanted:
            yield from self._every()
            return
        first = self.live[0] if self.live else {}
        model, inputs = window(self._model, nodes, wanted, first.keys())
        retype(model, inputs, self.live)
        gone = [k for k in first if start <= self._last.get(k, -1) < stop]
        with self._context.load(model) as session:
            for live in self.live:
                found = session.run({value.name or "": _of(live, value) for value in inputs})
                for value in wanted:
                    live[id(value)] = self._shelf.put(found[value.name or ""])
                yield live
                for key in gone:
                    self._shelf.drop(live.pop(key))
                rest(live.values())

    def _every(self) -> Iterator[Live]:
        for live in self.live:
            yield live
            rest(live.values())


def last_reads(model: ir.Model, order: Sequence[ir.Node]) -> dict[int, int]:
    """Return the place in the order of the last node that reads each value.

    That of the graph's outputs lies behind the last node.
    """
    found = {id(value): at for at, node in enumerate(order) for value in reads(node)}
    return found | {id(value): len(order) for value in model.graph.outputs}


def retype(model: ir.Model, inputs: Sequence[ir.Value], samples: Sequence[Live]) -> None:
    """Give the inputs of a window the types of the arrays that they will get.

    Vectors keep their length, without which a runtime takes one of sizes (of Resize) for empty.
    """
    live = samples[0] if samples else {}
    for inside, outside in zip(model.graph.inputs, inputs, strict=True):
        array = live.get(id(outside))
        if array is not None and array.dtype != object:
            shapes = {each[id(outside)].shape for each in samples if id(outside) in each}
            fixed = array.ndim == 1 and len(shapes) == 1
            inside.type = ir.TensorType(ir.DataType.from_numpy(array.dtype))
            inside.shape = ir.Shape(array.shape) if fixed else None


def _of(live: Live, value: ir.Value) -> np.ndarray:
    if id(value) not in live:
        raise ModelError(f"nothing is known of '{value.name}': feed it, or sort the graph's nodes")
    return live[id(value)]


def shortcuts_first(graph: ir.Graph) -> list[ir.Node]:
    """Return the nodes so that of two branches that meet the shorter one comes first.

    What a long branch is added to is then known when its last layer is looked at.
    """
    depth: dict[ir.Node, int] = {}
    for node in graph:
        above = [value.producer() for value in reads(node)]
        depth[node] = 1 + max((depth.get(each, 0) for each in above if each is not None), default=0)
    order: dict[ir.Node, None] = {}
    ends = [node for node in graph if not any(value.uses() for value in node.outputs)]
    ends += [node for node in graph if any(value.is_graph_output() for value in node.outputs)]
    stack = sorted(dict.fromkeys(ends), key=lambda node: depth[node], reverse=True)
    while stack:
        node = stack[-1]
        makers = dict.fromkeys(value.producer() for value in reads(node))
        waiting = [each for each in makers if each in depth and each not in order]
        if node in order or not waiting:
            order[stack.pop()] = None
        else:
            stack += sorted(waiting, key=lambda each: depth[each], reverse=True)
    return list(order)
