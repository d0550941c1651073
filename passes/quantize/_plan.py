"""Where a model is computed on integers: which nodes, and which values are quantized for them.

Layers with constant weights are what it is about. What lies between two of them joins in where that
keeps the data in integers all the way; nothing else does, because every change between integers and
floating point costs a pass over the data.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Iterator, Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.kernels import IntegerKernels, Kernel, Requantized, Role
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize._followers import Followers
from onnxopt.quantization import ranges


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """Which layers may be quantized, by shell patterns over node, output and operator names."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    without: frozenset[ir.Node] = frozenset()
    """Nodes that are not."""

    def allows(self, node: ir.Node) -> bool:
        """Return whether a node is named by ``only``, where that names any, and not by ``skip``."""
        if node in self.without:
            return False
        return (not self.only or _named(node, self.only)) and not _named(node, self.skip)


def _named(node: ir.Node, patterns: Sequence[str]) -> bool:
    layer = readers.read(node)
    outputs = node.outputs if layer is None else (*node.outputs, layer.output)
    names = [node.name or "", node.op_type, *(value.name or "" for value in outputs)]
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


@dataclasses.dataclass
class Plan:
    """The nodes that compute on integers, all in the main graph, in its order."""

    followers: Followers
    """What goes up in these."""
    layers: dict[ir.Node, Layer] = dataclasses.field(default_factory=dict)
    between: dict[ir.Node, Kernel] = dataclasses.field(default_factory=dict)
    """Nodes without weights of their own, with their roles."""
    kernels: dict[ir.Node, Kernel] = dataclasses.field(default_factory=dict)
    """What the target makes of the layers."""

    read: set[ir.Value] = dataclasses.field(default_factory=set)
    """What is quantized because integers are computed from it."""

    def integer(self, node: ir.Node) -> bool:
        """Return whether a node reads integers."""
        home = self.followers.home(node)
        if home in self.layers and home is not None:
            return self.tails(home)[0] in self.read
        return node in self.layers or node in self.between

    def requantized(self) -> Iterator[ir.Value]:
        """Yield the values that are quantized for every reader, since integers are computed."""
        for node in (*self.layers, *self.between):
            yield from (value for value in self.tails(node) if self._quantizes(node, value))

    def _quantizes(self, node: ir.Node, value: ir.Value) -> bool:
        return self.kernels[node].requantized is Requantized.ALWAYS or value in self.read

    def tails(self, node: ir.Node) -> list[ir.Value]:
        """Return where a node's outputs are quantized: behind what goes up in it."""
        outputs = [self.layers[node].output] if node in self.layers else node.outputs
        return [self.followers.tail(value) for value in outputs]

    def absorbed(self, output: ir.Value) -> bool:
        """Return whether the one reader of a layer's output goes up in a quantization."""
        follower = self.followers.behind(output)
        readers = [] if follower is None else list(follower.outputs[0].uses())
        free = follower is not None and not follower.outputs[0].is_graph_output()
        return free and bool(readers) and all(self.integer(use.node) for use in readers)

    def settle(self, known: Callable[[ir.Value], bool]) -> None:
        """Find out which outputs are read as integers.

        Backwards, since what is fused into a later layer reads integers where that one's are read.
        """
        self.read.clear()
        for node in reversed(self.kernels):
            if not (node in self.layers or node in self.between):
                continue
            for tail in self.tails(node):
                wanted = self.kernels[node].requantized is Requantized.READ and known(tail)
                if wanted and any(self.integer(use.node) for use in tail.uses()):
                    self.read.add(tail)


def data_inputs(node: ir.Node) -> list[ir.Value]:
    """Return the inputs of a node without weights that hold data, not shapes or sizes."""
    first = node.inputs if node.op_type in _ALL_INPUTS else node.inputs[:1]
    return [value for value in first if value is not None]


_ALL_INPUTS = frozenset(("Add", "Concat", "Mul"))
"""Operators of whose inputs every one is data."""


def plan(model: ir.Model, kernels: IntegerKernels, choice: Choice) -> Plan:
    """Decide what is computed on integers; a layer stays out where a value has no range."""
    return _Planning(model.graph, kernels, choice, _calibrated).run()


def read_by(model: ir.Model, kernels: IntegerKernels) -> list[ir.Value]:
    """Return the values whose ranges any plan may want: what layers read, and what is made.

    Layers that no plan takes in count too, so that a calibrated model always has a range.
    """
    planning = _Planning(model.graph, kernels, Choice(), lambda _: True)
    rows = [planning.row(node) for node in model.graph]
    layers = [
        readers.read(node)
        for node, row in zip(model.graph, rows, strict=True)
        if row is not None and row.role is Role.PRODUCT
    ]
    read = [layer.x for layer in layers if layer is not None]
    return list(dict.fromkeys([*read, *planning.run().requantized()]))


def _calibrated(value: ir.Value) -> bool:
    return ranges.read(value) is not None


class _Planning:
    def __init__(
        self,
        home: ir.Graph,
        kernels: IntegerKernels,
        choice: Choice,
        known: Callable[[ir.Value], bool],
    ) -> None:
        self._home = home
        self._kernels = kernels
        self._choice = choice
        self._known = known
        absorbs = not kernels.symmetric
        self._plan = Plan(followers=Followers(self.row, absorbs=absorbs))

    def run(self) -> Plan:
        for node in self._home:
            row = self.row(node)
            if row is not None:
                self._enter(node, row)
        while self._drop():
            pass
        return self._plan

    def row(self, node: ir.Node) -> Kernel | None:
        """Return the target's row for a node, None where it has none or the node is left out."""
        row = None if node.domain else self._kernels.rows.get(node.op_type)
        if row is None or not self._choice.allows(node):
            return None
        written = {name: _text(attribute) for name, attribute in node.attributes.items()}
        fits = all(written.get(name, value) == value for name, value in row.only)
        return row if fits else None

    def _enter(self, node: ir.Node, row: Kernel) -> None:
        """Take a node in for now, with everything that could be integer."""
        found = self._plan
        if row.role is Role.PRODUCT:
            layer = readers.read(node)
            if layer is None:
                return
            found.layers[node] = layer
            found.kernels[node] = row
            found.followers.absorb(layer.output)
            found.followers.start(node, layer.output)
        elif row.role is Role.FUSED:
            found.followers.fuse(node)
        elif row.role is not Role.ABSORBED and node.outputs[0].dtype == ir.DataType.FLOAT:
            if row.role is Role.MOVED and not _movable(node):
                return
            found.between[node] = row
            found.kernels[node] = row
            if row.role is Role.OWN:
                found.followers.absorb(node.outputs[0])

    def _drop(self) -> bool:
        """Leave out what turns out not to belong; return whether anything was."""
        found = self._plan
        found.settle(self._known)
        made = {id(value) for value in found.requantized()}
        out: list[ir.Node] = []
        for node, layer in found.layers.items():
            if not self._fits(layer, made):
                out.append(node)
        for node in found.between:
            if not self._joins(node, made):
                out.append(node)
        for node in out:
            found.layers.pop(node, None)
            found.between.pop(node, None)
        return bool(out)

    def _fits(self, layer: Layer, made: set[int]) -> bool:
        found = self._plan
        [tail] = found.tails(layer.node)
        always = found.kernels[layer.node].requantized is Requantized.ALWAYS
        if not self._known(layer.x) or (always and not self._known(tail)):
            return False
        if layer.depthwise and not self._kernels.depthwise_alone:
            return id(layer.x) in made and any(map(found.integer, _readers(tail)))
        return True

    def _joins(self, node: ir.Node, made: set[int]) -> bool:
        tails = self._plan.tails(node)
        data = data_inputs(node)
        whole = all(id(value) in made or graph.tensor(value) is not None for value in data)
        row = self._plan.between[node]
        own = row.role is Role.OWN and row.requantized is Requantized.ALWAYS
        if not whole or not any(id(value) in made for value in data):
            return False
        if own and not all(map(self._known, tails)):
            return False
        readers = [reader for tail in tails for reader in _readers(tail)]
        return any(map(self._plan.integer, readers)) or _smaller(tails[0], data[0])


def _readers(value: ir.Value) -> list[ir.Node]:
    return [use.node for use in value.uses()]


def _smaller(one: ir.Value, other: ir.Value) -> bool:
    """Return whether a value is known to have fewer elements than another of the same batch."""
    mine, theirs = graph.dims(one), graph.dims(other)
    if mine is None or theirs is None or len(mine) != len(theirs):
        return False
    pairs = list(zip(mine, theirs, strict=True))
    known = all(a == b or (isinstance(a, int) and isinstance(b, int) and a <= b) for a, b in pairs)
    return known and any(a != b for a, b in pairs)


def _movable(node: ir.Node) -> bool:
    """Return whether nothing but elements of the first input, and zeros, comes out."""
    if node.op_type != "Pad":
        return True
    filling = node.inputs[2] if len(node.inputs) > 2 else None
    return filling is None or graph.scalar(filling) == 0


def _text(attribute: ir.Attr) -> str:
    value = attribute.value
    return value.decode() if isinstance(value, bytes) else str(value)
