"""The extremes of values of a model, found by the runtime in the graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.errors import BackendError, OnnxoptError
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.sketch import extremes
from onnxopt.target import Feeds, Outputs, Session

_KINDS = ("ReduceMin", "ReduceMax", "ReduceSum")
"""A runtime may pass over NaN where it looks for extremes, but never where it sums up."""

_NAN = Range(low=math.nan, high=math.nan)


class _Reduced(NamedTuple):
    """A session that returns reductions of values, and the values that are not reduced whole."""

    session: Session
    names: Mapping[str, tuple[str, ...]]
    """Of each value that is reduced: what its reductions are called."""


class Reductions:
    """Computes extremes of values of the main graph, none of them an input, until closed.

    What nodes compute in float32 is reduced in the graph, so that three numbers leave the runtime
    for each. Where the sum is NaN the sample runs again, and such values are looked at whole; where
    none of them held NaN (partial sums were infinite to both sides), all further samples are looked
    at so. The model must not change meanwhile, and may be open twice.
    """

    def __init__(self, model: ir.Model, values: Sequence[ir.Value], context: Context) -> None:
        self._model, self._values, self._context = model, values, context
        self._whole: Session | None = None
        self._nan: set[ir.Value] = set()
        self._reduced = self._opened()

    def _opened(self) -> _Reduced | None:
        """Open the model with reductions; None without any, or where the runtime refuses them."""
        model = self._model.clone()
        names = _reduce(model, {value.name or "" for value in self._values})
        outputs = {value.name or "": value for node in model.graph for value in node.outputs}
        made = {**model.graph.initializers, **outputs}
        whole = [value.name or "" for value in self._values if value.name not in names]
        reduced = [name for each in names.values() for name in each]
        if not reduced:
            return None
        try:
            session = self._context.open(model, [made[name] for name in (*reduced, *whole)])
        except BackendError:
            return None
        return _Reduced(session, names)

    def of(self, feeds: Feeds) -> Iterator[tuple[ir.Value, Range | None]]:
        """Yield each value with its extremes: None where it is empty, NaN where a number is.

        Raises ModelError for feeds that the model does not take.
        """
        found = self._run(feeds)
        unclear = []
        for value in self._values:
            seen = None if found is None else self._read(value, found)
            if seen is None:
                unclear.append(value)
            else:
                yield value, None if seen.low > seen.high else seen
        if not unclear:
            return
        whole = self._look_at(unclear, feeds)
        for value in unclear:
            held = extremes(whole.pop(value.name or ""))
            if held is not None and math.isnan(held.low):
                self._nan.add(value)
            yield value, held
        if self._nan.isdisjoint(unclear):
            self._close_reduced()

    def _run(self, feeds: Feeds) -> Outputs | None:
        """Run with the reductions; None, and never again, where that fails."""
        if self._reduced is None:
            return None
        try:
            return self._reduced.session.run(feeds)
        except OnnxoptError:  # feeds that do not fit fail once more without them
            self._close_reduced()
            return None

    def _read(self, value: ir.Value, found: Outputs) -> Range | None:
        """Return the extremes that a run tells of a value; None where it does not.

        The low one is the higher where the value is empty. What held NaN once is believed to do so
        again.
        """
        assert self._reduced is not None
        names = self._reduced.names.get(value.name or "")
        if names is None:
            return extremes(found[value.name or ""]) or Range(low=math.inf, high=-math.inf)
        low, high, total = (float(found[name]) for name in names)
        if not math.isnan(total):
            return Range(low=low, high=high)
        return _NAN if value in self._nan else None

    def _look_at(self, values: Sequence[ir.Value], feeds: Feeds) -> dict[str, np.ndarray]:
        if self._whole is None:
            self._whole = self._context.open(self._model, self._values)
        return dict(self._whole.run(feeds, [value.name or "" for value in values]))

    def _close_reduced(self) -> None:
        if self._reduced is not None:
            self._reduced.session.close()
        self._reduced = None

    def close(self) -> None:
        """Close what was opened."""
        self._close_reduced()
        if self._whole is not None:
            self._whole.close()


def _reduce(model: ir.Model, wanted: set[str]) -> Mapping[str, tuple[str, ...]]:
    """Reduce what nodes compute in float32 of what is wanted; return what is made by value."""
    names = graph.Names(model)
    found: dict[str, tuple[str, ...]] = {}
    for value in [value for node in model.graph for value in node.outputs]:
        if value.name not in wanted or value.dtype is not ir.DataType.FLOAT:
            continue
        made = [ir.node(kind, [value], {"keepdims": 0}) for kind in _KINDS]
        for node in made:
            node.outputs[0].name = names.fresh(f"{value.name}_{node.op_type}")
            node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.extend(made)
        found[value.name or ""] = tuple(node.outputs[0].name or "" for node in made)
    return found
