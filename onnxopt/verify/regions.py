"""Compare two large models where they differ, and only there.

End to end, a model of gigabytes takes longer to run than to rewrite. Values that both models
compute in the same way from the same weights are equal without running anything. Where a value is
computed in two ways, both ways are run from the nearest values that are known to be equal, on data
made up for those; by induction along the graph, all outputs are then equal. Regions that look alike
but for the contents of their large weights are run once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.base import Evaluate
from onnxopt.errors import OnnxoptError
from onnxopt.evaluate import evaluate_each
from onnxopt.feeds import Mode, Plan, settled
from onnxopt.graph import dims
from onnxopt.segments import part, reads
from onnxopt.shapes import infer
from onnxopt.signature import Kind, Need, needs
from onnxopt.target import Feeds, Outputs
from onnxopt.verify.numbering import Numbering, attributes, contents, numbered
from onnxopt.verify.numbers import Comparison, Mismatch, Tolerance, compare

_DEPTHS = (0, 2, 6, 20)
"""Known values that a region reaches past when it does not agree at the nearest ones."""

_ROUNDS = 4
"""Times that regions which do not agree are merged with what reads them."""

_HEAVY = 128 << 20
"""Bytes of weights that one region may read."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is known about two models."""

    comparison: Comparison = dataclasses.field(default_factory=Comparison)
    proved: int = 0
    """Values that both compute in the same way."""
    evaluated: int = 0
    """Regions that were run."""
    alike: int = 0
    """Regions that are like one of those but for the contents of large weights."""
    whole: bool = False
    """The regions did not settle it, and both models were run from end to end."""

    def __str__(self) -> str:
        if self.whole:
            return "both models from end to end"
        return (
            f"{self.proved} values by how they are computed, "
            f"{self.evaluated} changed regions by running them, {self.alike} as like one of those"
        )


def check(
    before: ir.Model, after: ir.Model, evaluate: Evaluate, tolerance: Tolerance, seed: int = 0
) -> Verdict:
    """Compare two models that share their weights as objects (one was made by ``clone``).

    Shapes are inferred in ``before``: where a file states none, no data could be made up for inner
    values, and every region would reach back to the inputs.
    """
    infer(before)
    work = _Regions(before, after, evaluate, tolerance, seed)
    apart: frozenset[str] = frozenset()
    for _ in range(_ROUNDS):
        disagreeing = work.round(apart)
        if not disagreeing:
            return work.verdict
        if disagreeing <= apart:
            break
        apart |= disagreeing
    return _end_to_end(before, after, evaluate, tolerance, seed)


def _end_to_end(
    before: ir.Model, after: ir.Model, evaluate: Evaluate, tolerance: Tolerance, seed: int
) -> Verdict:
    def run(feeds: Feeds) -> Outputs:
        return evaluate(before, feeds)

    try:
        plan = Plan.of(before)
        feeds, expected = settled(plan, run, seed)[0][2:]
    except OnnxoptError as error:
        return Verdict(Comparison((Mismatch("", f"the original does not run: {error}"),)))
    try:
        actual = next(iter(evaluate_each(evaluate, after, [feeds])))
    except OnnxoptError as error:
        return Verdict(Comparison((Mismatch("", f"the rewritten model does not run: {error}"),)))
    return Verdict(compare(expected, actual, tolerance), whole=True)


@dataclasses.dataclass(frozen=True)
class _Slice:
    """One side of a region: how a value is computed from known ones."""

    model: ir.Model
    nodes: list[ir.Node]
    result: ir.Value
    known: list[ir.Value]

    @property
    def heavy(self) -> bool:
        held = {id(v): v.const_value for node in self.nodes for v in reads(node) if v.const_value}
        return sum(tensor.nbytes for tensor in held.values()) > _HEAVY


class _Regions:
    def __init__(
        self,
        before: ir.Model,
        after: ir.Model,
        evaluate: Evaluate,
        tolerance: Tolerance,
        seed: int,
    ) -> None:
        self._models = (before, after)
        self._evaluate = evaluate
        self._tolerance = tolerance
        self._seed = seed
        self._inputs = {need.name: need for need in _fed(before)}
        self._alike: dict[Hashable, bool] = {}
        self.verdict = Verdict()

    def round(self, apart: frozenset[str]) -> frozenset[str]:
        """Settle every pair of values computed in two ways; return the names that disagree."""
        numbering = numbered(*self._models, apart)
        before, after = self._models
        pairs = list(numbering.joints)
        for one, other in zip(before.graph.outputs, after.graph.outputs, strict=True):
            if numbering.of(one) != numbering.of(other):
                pairs.append((one, other))
        self.verdict = Verdict(proved=numbering.equal)
        places = _Places(numbering, self._models)
        wrong = [one.name or "" for one, other in pairs if not self._agree(one, other, places)]
        return frozenset(wrong)

    def _agree(self, one: ir.Value, other: ir.Value, places: _Places) -> bool:
        for depth in _DEPTHS:
            slices = [
                _sliced(model, value, places, depth)
                for model, value in zip(self._models, (one, other), strict=True)
            ]
            if any(side.heavy for side in slices) and depth:
                return False
            key = _likeness(slices, places.numbering)
            if key in self._alike:
                self._count(alike=1)
            else:
                self._count(evaluated=1)
                self._alike[key] = self._run(slices, places)
            if self._alike[key]:
                return True
        return False

    def _count(self, evaluated: int = 0, alike: int = 0) -> None:
        self.verdict = dataclasses.replace(
            self.verdict,
            evaluated=self.verdict.evaluated + evaluated,
            alike=self.verdict.alike + alike,
        )

    def _run(self, slices: Sequence[_Slice], places: _Places) -> bool:
        """Run both sides on the same data, which must not make the original mostly NaN."""
        wanted: dict[int, Need] = {}
        for side in slices:
            for value in side.known:
                number = places.numbering.of(value)
                need = self._need(value, number, places)
                if need is None:
                    return False
                wanted[number] = need
        plan = Plan.for_needs(tuple(wanted.values()))
        try:
            data = plan.feeds(next(plan.sizes()), Mode.RANDOM, self._seed)
            expected, actual = (self._outcome(side, data, places) for side in slices)
        except OnnxoptError:
            return False
        if expected.dtype.kind == "f" and np.isfinite(expected).mean() < 0.5:
            return False
        found = compare({"": expected}, {"": actual}, self._tolerance)
        self.verdict = dataclasses.replace(
            self.verdict,
            comparison=self.verdict.comparison + dataclasses.replace(found, mismatches=()),
        )
        return not found.mismatches

    def _outcome(self, side: _Slice, data: Feeds, places: _Places) -> np.ndarray:
        given = {id(value): data[str(places.numbering.of(value))] for value in side.known}
        if not side.nodes:
            return given[id(side.result)]
        model, inputs = part(side.model, side.nodes, [side.result], overridden=given.keys())
        for inside, outside in zip(model.graph.inputs, inputs, strict=True):
            array = given[id(outside)]
            inside.type, inside.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), None
        for value in model.graph.outputs:
            value.type = value.shape = None
        feeds = {value.name or "": given[id(value)] for value in inputs}
        return self._evaluate(model, feeds)[side.result.name or ""]

    def _need(self, value: ir.Value, number: int, places: _Places) -> Need | None:
        if value.is_graph_input():
            need = self._inputs.get(value.name or "")
            return None if need is None else dataclasses.replace(need, name=str(number))
        typed = places.typed.get(number)
        shape = None if typed is None else dims(typed)
        if typed is None or typed.dtype is None or shape is None:
            return None
        sizes = tuple(f"{number}:{at}" if d is None else d for at, d in enumerate(shape))
        return Need(str(number), typed.dtype, sizes, Kind.PLAIN)


def _fed(model: ir.Model) -> list[Need]:
    try:
        return needs(model)
    except OnnxoptError:
        return []


class _Places:
    """Which numbers both graphs have, and a value with type and shape for each."""

    def __init__(self, numbering: Numbering, models: tuple[ir.Model, ir.Model]) -> None:
        self.numbering = numbering
        self.typed: dict[int, ir.Value] = {}
        self.order = {id(node): at for model in models for at, node in enumerate(model.graph)}
        sides: list[set[int]] = []
        for model in models:
            values = [value for node in model.graph for value in node.outputs]
            values.extend(model.graph.inputs)
            sides.append({numbering.of(value) for value in values})
            for value in values:
                if value.shape is not None and value.dtype is not None:
                    self.typed.setdefault(numbering.of(value), value)
        self._shared = sides[0] & sides[1]

    def stop(self, value: ir.Value) -> bool:
        """Return whether data can be made up for a value that both graphs have.

        Integers are computed, for they may be shapes or indices.
        """
        if value.is_graph_input():
            return True
        typed = self.typed.get(self.numbering.of(value))
        if typed is None or typed.dtype is None or not typed.dtype.is_floating_point():
            return False
        known = dims(typed)
        return self.numbering.of(value) in self._shared and known is not None and None not in known


def _sliced(model: ir.Model, result: ir.Value, places: _Places, depth: int) -> _Slice:
    """Go back from a value to the known ones, past ``depth`` of them on every path."""
    chosen: dict[int, ir.Node] = {}
    known: dict[int, ir.Value] = {}
    reached: dict[int, int] = {}
    pending = [(result, depth + 1)]
    while pending:
        value, left = pending.pop()
        if reached.get(id(value), -1) >= left or value.is_initializer():
            continue
        reached[id(value)] = left
        maker = value.producer()
        stop = value is not result and places.stop(value)
        if maker is None or (stop and left == 1):
            known[id(value)] = value
        else:
            chosen[id(maker)] = maker
            pending.extend((read, left - stop) for read in reads(maker))
    nodes = sorted(chosen.values(), key=lambda node: places.order[id(node)])
    made = {id(value) for node in nodes for value in node.outputs}
    return _Slice(model, nodes, result, [v for key, v in known.items() if key not in made])


def _likeness(slices: Sequence[_Slice], numbering: Numbering) -> Hashable:
    """Return what two regions have in common that differ in large weights and places only."""
    order: dict[int, int] = {}

    def local(value: ir.Value | None) -> Hashable:
        if value is None:
            return None
        number = numbering.of(value)
        place = order.setdefault(number, len(order))
        held = value.const_value
        if held is None:
            return place, value.dtype, dims(value)
        key = contents(held)
        large = isinstance(key, tuple) and key[0] == "same"
        return (place, held.dtype, tuple(held.shape.numpy())) if large else key

    return tuple(
        (
            tuple(
                (
                    node.op_identifier(),
                    attributes(node),
                    tuple(local(value) for value in node.inputs),
                    tuple(local(value) for value in reads(node)),
                    tuple(local(value) for value in node.outputs),
                )
                for node in side.nodes
            ),
            local(side.result),
        )
        for side in slices
    )
