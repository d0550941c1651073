"""The extremes of values of a model, found by the runtime in the graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.errors import OnnxoptError
from onnxopt.quantization.ranges import Range
from onnxopt.quantization.sketch import extremes
from onnxopt.target import Feeds, Outputs, Session

_KINDS = ("ReduceMin", "ReduceMax", "ReduceSum")
"""Extremes, which a runtime may find beside NaN as if it were not there, and a sum, which is never
finite with it."""


class Reductions:
    """Computes extremes of values of the main graph, none of them an input; a context manager.

    Values in float32 are reduced in the graph, so that three numbers leave the runtime for each.
    Where those are not finite the sample runs again and its values are looked at whole; where that
    was in vain (nothing but a sum was too large, or the value is empty) all further samples are.
    The model must not change meanwhile.
    """

    def __init__(self, model: ir.Model, values: Sequence[ir.Value], context: Context) -> None:
        self._model, self._values, self._context = model, values, context
        self._whole: Session | None = None
        self._endless: dict[ir.Value, Range] = {}
        self._names: Mapping[str, tuple[str, ...]] = {}
        self._reduced = self._opened()

    def _opened(self) -> Session | None:
        """Open the model with the reductions; None where the runtime has no kernel for them."""
        wanted = {v.name or "" for v in self._values if v.dtype is ir.DataType.FLOAT}
        if not wanted:
            return None
        model, self._names = _reducing(self._model, wanted)
        made = {value.name: value for node in model.graph for value in node.outputs}
        others = [v.name or "" for v in self._values if v.name not in wanted]
        outputs = [made[name] for names in self._names.values() for name in names]
        try:
            return self._context.open(model, [*outputs, *(made[name] for name in others)])
        except OnnxoptError:
            return None

    def of(self, feeds: Feeds) -> Iterator[tuple[ir.Value, Range | None]]:
        """Yield each value with its extremes: None where it is empty, NaN where a number is.

        Of a value that was NaN or infinite once, that is what is said of it ever after. Raises
        ModelError for feeds that the model does not take.
        """
        found = self._run(feeds)
        unclear = []
        for value in self._values:
            if value in self._endless:
                yield value, self._endless[value]
                continue
            seen = None if found is None else self._read(value, found)
            if seen is not None:
                yield value, seen
            else:
                unclear.append(value)
        whole = self._looked_at(feeds) if unclear else {}
        for value in unclear:
            seen = self._noted(value, extremes(whole.pop(value.name or "")))
            if seen is None or seen.finite:
                self._reduce_no_more()
            yield value, seen

    def _run(self, feeds: Feeds) -> Outputs | None:
        """Run with the reductions; None, and never again, where the runtime fails at them."""
        if self._reduced is None:
            return None
        try:
            return self._reduced.run(feeds)
        except OnnxoptError:
            self._reduce_no_more()
            return None

    def _reduce_no_more(self) -> None:
        if self._reduced is not None:
            self._reduced.close()
            self._reduced = None

    def _read(self, value: ir.Value, found: Outputs) -> Range | None:
        """Return the extremes that a run tells of a value; None where it does not."""
        names = self._names.get(value.name or "")
        if names is None:
            return self._noted(value, extremes(found.pop(value.name or "")))
        low, high, total = (float(found[name]) for name in names)
        return Range(low=low, high=high) if all(map(math.isfinite, (low, high, total))) else None

    def _looked_at(self, feeds: Feeds) -> dict[str, np.ndarray]:
        if self._whole is None:
            self._whole = self._context.open(self._model, self._values)
        return dict(self._whole.run(feeds))

    def _noted(self, value: ir.Value, found: Range | None) -> Range | None:
        if found is not None and not found.finite:
            self._endless[value] = found
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reduce_no_more()
        if self._whole is not None:
            self._whole.close()


def _reducing(model: ir.Model, wanted: set[str]) -> tuple[ir.Model, Mapping[str, tuple[str, ...]]]:
    """Return a copy with reductions of some values, and the names of what they make of each."""
    copy = model.clone()
    names = graph.Names(copy)
    found: dict[str, tuple[str, ...]] = {}
    for value in [v for node in copy.graph for v in node.outputs if v.name in wanted]:
        made = [ir.node(kind, [value], {"keepdims": 0}) for kind in _KINDS]
        for node in made:
            node.outputs[0].name = names.fresh(f"{value.name}_{node.op_type}")
            node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        copy.graph.extend(made)
        found[value.name or ""] = tuple(node.outputs[0].name or "" for node in made)
    return copy, found
