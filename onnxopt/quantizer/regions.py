"""Which parts of a quantized model pay, from the times of its nodes and those of the float model.

What computes on integers, and what each of it reads from another such part, is read off the QDQ
model. Its parts have a time on integers and one in float; a value that passes between the two kinds
costs a change of form. The fastest choice is a minimum cut.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.kernels import IntegerKernels, Requantized, Role
from onnxopt.profiling import Executed
from onnxopt.quantizer.cut import cheapest

CHANGE_S = 1e-9
"""Seconds an element takes between integers and floating point: the conversion and the change of
layout that goes with it, of the order of 5 bytes at memory's speed."""

_BOTH = frozenset(("QuantizeLinear", "DequantizeLinear"))


@dataclasses.dataclass(kw_only=True, eq=False)
class Part:
    """A node that computes on integers, and what is known of it."""

    name: str
    """The value by which patterns name it."""
    layer: bool
    values: frozenset[str]
    """What it computes in the float model and in this one."""
    reads: list[tuple[Part | None, str]]
    """What computes each of its data inputs, None where that is in float, and the input's name."""
    leaves: bool = False
    """Something in float reads what it computes, and it is quantized for others."""
    integer_s: float = 0.0
    float_s: float = 0.0
    noise: float = 0.0
    """Of the outputs when only this part is on integers, over their signal."""


class _Reading:
    """Finds the parts of a QDQ model."""

    def __init__(self, model: ir.Model, kernels: IntegerKernels, layers: Iterable[str]) -> None:
        self._model, self._kernels, self._layers = model, kernels, frozenset(layers)
        self._found: dict[ir.Node, Part] = {}

    def run(self) -> list[Part]:
        for node in self._model.graph:
            row = None if node.domain else self._kernels.rows.get(node.op_type)
            if row is None or row.role is Role.ABSORBED:
                continue
            data = [v for v in node.inputs if v is not None and graph.tensor(_held(v)) is None]
            plain = row.role is Role.PRODUCT and _held(node.inputs[1]) is node.inputs[1]
            if plain or not data or not all(map(self._integers, data)):
                continue
            always = row.requantized is Requantized.ALWAYS
            values = list(self._values(node, requantized=always))
            name = next((n for n in values if n in self._layers), values[0])
            self._found[node] = Part(
                name=name,
                layer=name in self._layers,
                values=frozenset(values),
                reads=[self._from(value) for value in data],
            )
        for node, part in self._found.items():
            always = self._kernels.rows[node.op_type].requantized is Requantized.ALWAYS
            part.leaves = always and self._leaves(node)
        return list(self._found.values())

    def _integers(self, value: ir.Value) -> bool:
        """Return whether a value holds integers, or is made of them, that vary."""
        node = value.producer()
        if node is not None and node.op_type == "DequantizeLinear":
            return graph.tensor(node.inputs[0]) is None
        made = node is not None and (node in self._found or node.op_type == "QuantizeLinear")
        return made and value.dtype in _INTEGERS

    def _values(self, node: ir.Node, *, requantized: bool) -> Iterator[str]:
        """Yield the names of what a node computes, behind what it takes in and conversions too."""
        ahead = [value for value in node.outputs if value.name]
        while ahead:
            value = ahead.pop(0)
            yield value.name or ""
            for use in value.uses():
                after = use.node
                taken = after.op_type in _BOTH or self._absorbs(value, after)
                if taken if requantized else self._adds(value, after):
                    ahead += after.outputs

    def _absorbs(self, value: ir.Value, node: ir.Node) -> bool:
        row = None if node.domain else self._kernels.rows.get(node.op_type)
        return row is not None and row.role is Role.ABSORBED and graph.sole_use(value)

    def _adds(self, value: ir.Value, node: ir.Node) -> bool:
        """Return whether a node adds a constant to a product."""
        constant = any(graph.tensor(_held(each)) is not None for each in node.inputs)
        return node.op_type in ("Add", "Sub") and graph.sole_use(value) and constant

    def _from(self, value: ir.Value) -> tuple[Part | None, str]:
        name = value.name or ""
        node = value.producer()
        while node is not None and node not in self._found and self._passes(node):
            before = node.inputs[0]
            name = (before and before.name) or name
            node = None if before is None else before.producer()
        return (None if node is None else self._found.get(node)), name

    def _passes(self, node: ir.Node) -> bool:
        value = node.inputs[0]
        return value is not None and (node.op_type in _BOTH or self._absorbs(value, node))

    def _leaves(self, node: ir.Node) -> bool:
        """Return whether something that computes in float reads a node's output."""
        ahead = list(node.outputs)
        while ahead:
            value = ahead.pop()
            if value.is_graph_output():
                return True
            for use in value.uses():
                if use.node.op_type in _BOTH or self._absorbs(value, use.node):
                    ahead += use.node.outputs
                elif use.node not in self._found:
                    return True
        return False


_INTEGERS = frozenset((ir.DataType.UINT8, ir.DataType.INT8))


def _held(value: ir.Value | None) -> ir.Value | None:
    node = None if value is None else value.producer()
    return node.inputs[0] if node is not None and node.op_type == "DequantizeLinear" else value


def parts_of(model: ir.Model, kernels: IntegerKernels, layers: Iterable[str]) -> list[Part]:
    """Return the parts of a QDQ model that compute on integers, ``layers`` by their names."""
    return _Reading(model, kernels, layers).run()


def timed(parts: Sequence[Part], integer: Iterable[Executed], plain: Iterable[Executed]) -> None:
    """Give each part its times: those of the nodes that ran for it, shared where several do."""
    of = {name: part for part in parts for name in part.values}
    for part, seconds in _shares(of, integer):
        part.integer_s += seconds
    for part, seconds in _shares(of, plain):
        part.float_s += seconds


def _shares(of: Mapping[str, Part], nodes: Iterable[Executed]) -> Iterator[tuple[Part, float]]:
    for node in nodes:
        mine = dict.fromkeys(of[name] for name in node.parts if name in of)
        if node.op_type not in _BOTH:
            yield from ((part, node.seconds / len(mine)) for part in mine)


def elements(nodes: Iterable[Executed]) -> dict[str, float]:
    """Return the elements of the values that float nodes compute, by name."""
    return {name: node.output_bytes / 4 for node in nodes for name in node.parts}


def worth(parts: Sequence[Part], sizes: Mapping[str, float], noise_s: float) -> list[Part]:
    """Return the parts that had better be in float.

    What is least is the time, and ``noise_s`` seconds for each unit of noise.
    """
    at = {part: index for index, part in enumerate(parts)}
    integer = {i: part.integer_s + noise_s * part.noise for part, i in at.items()}
    readers = collections.Counter(name for part in parts for _, name in part.reads)
    edges = []
    for part, index in at.items():
        for maker, name in part.reads:
            cost = CHANGE_S * sizes.get(name, 0.0) / readers[name]
            if maker is None:
                integer[index] += cost
            else:
                edges.append((index, at[maker], cost))
        if part.leaves:
            integer[index] += CHANGE_S * max(sizes.get(name, 0.0) for name in part.values)
    plain = {index: part.float_s for part, index in at.items()}
    out = cheapest(plain, integer, edges)
    return [part for part, index in at.items() if index in out]
