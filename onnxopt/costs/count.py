"""What every node of a model costs, bodies of control flow and functions included."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import onnx_ir as ir

from onnxopt import graph
from onnxopt.costs.place import Place, Traffic, Work, bytes_of
from onnxopt.costs.table import TABLE
from onnxopt.costs.traffic import TRAFFIC, whole
from onnxopt.functions import inlinable, inline
from onnxopt.ops import key, label
from onnxopt.shapes import Dim, Inference, analyse
from onnxopt.shapes.engine import MALFORMED, Engine, readable
from onnxopt.shapes.extent import Extent, compare, evaluated, times
from onnxopt.shapes.fact import Contradiction
from onnxopt.shapes.operators.control import steps, turns

_DEEPEST = 32
_TRIAL = 64
"""Extents at which two branches are compared where their formulas do not decide."""

Amount: TypeAlias = int | Dim


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeCost:
    """What one node costs in one run of the model; None for what is unknown.

    A node in the body of a loop counts for all turns together; in the branch of an If that is not
    taken, or is the cheaper one where only the data decide, for none.
    """

    node: ir.Node
    name: str
    """The node's name, or that of its first output."""
    operator: str
    """With its domain where that is not ONNX's own: ``com.microsoft::FusedMatMul``."""
    macs: Extent
    """Multiply-accumulates: one multiplication and one addition together are one."""
    ops: Extent
    """Scalar operations that are not part of a MAC."""
    read_bytes: Extent
    written_bytes: Extent
    weight_bytes: int
    """Bytes of the weights among the inputs, as they are stored; read or not."""
    times: Extent
    """How often the node runs; None where only the data tell, and then once is counted."""
    within: tuple[str, ...] = ()
    """The nodes of control flow around it, outermost first."""
    unknown: str = ""
    """Why something is not known of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """The costs of all nodes, in the order in which they stand."""

    rows: tuple[NodeCost, ...]
    model: ir.Model
    """The model whose nodes the rows name: the one given, or a copy with its functions inlined."""
    inference: Inference

    @classmethod
    def of(cls, model: ir.Model, sizes: Mapping[str, int] | None = None) -> Costs:
        """Count at given sizes, or as polynomials over the extents that the model leaves open.

        ``sizes`` map names of extents of inputs, or ``input:axis`` where they have none, to
        numbers. The model stays as it is. Raises ModelError where its functions cannot be inlined.
        """
        names = inlinable(model)
        if names:
            model = model.clone()
            inline(model, names)
        inference = analyse(model, sizes or {})
        engine = inference.memo.engine
        rows = tuple(_Walk(engine, sizes or {}).graph(model.graph, 1, ()))
        return cls(rows=rows, model=model, inference=inference)

    @property
    def macs(self) -> Amount:
        """The sum of what is known."""
        return sum_of(row.macs for row in self.rows)

    @property
    def ops(self) -> Amount:
        """The sum of what is known."""
        return sum_of(row.ops for row in self.rows)

    @property
    def read_bytes(self) -> Amount:
        """The sum of what is known."""
        return sum_of(row.read_bytes for row in self.rows)

    @property
    def written_bytes(self) -> Amount:
        """The sum of what is known."""
        return sum_of(row.written_bytes for row in self.rows)

    def uncounted(self) -> list[NodeCost]:
        """Return the rows of which MACs or the number of runs are unknown."""
        return [row for row in self.rows if row.macs is None or row.times is None]


def sum_of(amounts: Iterable[Extent]) -> Amount:
    """Add up what is known."""
    result: Amount = 0
    for amount in amounts:
        if amount is not None:
            result = result + amount
    return result


class _Walk:
    def __init__(self, engine: Engine, sizes: Mapping[str, int]) -> None:
        self.engine = engine
        self.sizes = sizes

    def graph(self, home: ir.Graph, count: Extent, within: tuple[str, ...]) -> Iterator[NodeCost]:
        for node in home:
            place = Place(node, self.engine)
            yield self._node(place, count, within)
            if node.attributes:
                yield from self._bodies(place, count, within)

    def _node(self, place: Place, count: Extent, within: tuple[str, ...]) -> NodeCost:
        if place.node in self.engine.impossible:
            work, traffic, reason = *_UNKNOWN, self.engine.stops.get(place.node, "")
        elif key(place.node) in self.engine.functions:
            work, traffic, reason = *_UNKNOWN, _FOREIGN
        else:
            work, traffic, reason = _counted(place)
        often = 1 if count is None else count
        macs, ops, read, written = (self._amount(times(each, often)) for each in (*work, *traffic))
        if not reason and None in (macs, ops, read, written):
            reason = place.reason or self.engine.stops.get(place.node, "") or _SHAPES
        return NodeCost(
            node=place.node,
            name=name_of(place.node),
            operator=label(place.node),
            macs=macs,
            ops=ops,
            read_bytes=read,
            written_bytes=written,
            weight_bytes=_weights(place, self.engine),
            times=count,
            within=within,
            unknown=reason or (_TURNS if count is None else ""),
        )

    def _amount(self, amount: Extent) -> Extent:
        """Put the sizes in; what depends on an extent that only the data tell is not known."""
        found = evaluated(amount, self.sizes)
        return None if isinstance(found, Dim) and found.hidden else found

    def _bodies(self, place: Place, count: Extent, within: tuple[str, ...]) -> Iterator[NodeCost]:
        bodies = list(graph.subgraphs(place.node))
        if not bodies or len(within) >= _DEEPEST:
            return
        inside = (*within, name_of(place.node))
        if place.node.op_type == "If" and len(bodies) == 2:
            yield from self._branches(place, count, inside)
            return
        for body in bodies:
            yield from self.graph(body, _often(place, body, count), inside)

    def _branches(self, place: Place, count: Extent, within: tuple[str, ...]) -> Iterator[NodeCost]:
        """Count the branch that is taken, or the one with more MACs where the data decide."""
        then, other = place.graph("then_branch"), place.graph("else_branch")
        content = place.content(0)
        if content and isinstance(content[0], int):
            first = bool(content[0])
        else:
            first = _costlier(list(self.graph(then, 1, ())), list(self.graph(other, 1, ())))
        yield from self.graph(then, count if first else 0, within)
        yield from self.graph(other, 0 if first else count, within)


_UNKNOWN = (Work(None, None), Traffic(None, None))
_FOREIGN = "it calls a function that imports other operator sets than the model"
_SHAPES = "its shapes are not known"
_TURNS = "how often it runs is only known from the data; counted once"


def _counted(place: Place) -> tuple[Work, Traffic, str]:
    """Ask the rows of a node; a node that breaks its operator's definition costs nobody knows."""
    operator = key(place.node)
    row = TABLE.get(operator)
    if row is None:
        return *_UNKNOWN, f"operator {label(place.node)} is not in the cost table"
    try:
        return row(place), TRAFFIC.get(operator, whole)(place), ""
    except Contradiction as error:
        return *_UNKNOWN, readable(str(error))
    except MALFORMED as error:
        return *_UNKNOWN, f"it does not follow its operator's definition ({error})"


def name_of(node: ir.Node) -> str:
    """Return a node's name, or that of its first output."""
    return node.name or next((value.name for value in node.outputs if value.name), "")


def _often(place: Place, body: ir.Graph, count: Extent) -> Extent:
    try:
        match place.node.op_type:
            case "Loop":
                return times(turns(place, body), count)
            case "Scan" if place.version >= 9:
                return times(steps(place), count)
            case _:
                return None
    except (Contradiction, *MALFORMED):
        return None


def _costlier(then: list[NodeCost], other: list[NodeCost]) -> bool:
    for field in ("macs", "written_bytes"):
        one = sum_of(getattr(row, field) for row in then)
        two = sum_of(getattr(row, field) for row in other)
        order = compare(one, two)
        order = _trial(one) - _trial(two) if order is None else order
        if order:
            return order > 0
    return True


def _trial(amount: Amount) -> int:
    return (
        amount
        if isinstance(amount, int)
        else amount.evaluate(dict.fromkeys(amount.symbols(), _TRIAL))
    )


def is_weight(value: ir.Value, engine: Engine) -> bool:
    """Say whether a value is stored in the file: a constant, or the default of an input."""
    return value.is_initializer() or engine.constant(value) is not None


def _weights(place: Place, engine: Engine) -> int:
    found = 0
    for value in dict.fromkeys(place.node.inputs):
        if value is not None and is_weight(value, engine):
            size = bytes_of(engine.fact(value))
            found += size if isinstance(size, int) else 0
    return found
