"""The two models, how each of them is run, and how the feeds and outputs of one fit the other."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxopt.comparison.energy import continuous
from onnxopt.difference.changes import alike, type_text
from onnxopt.difference.match import aligned
from onnxopt.errors import BackendError, ModelError, OnnxoptError, UsageError
from onnxopt.evaluate import Evaluator, Run
from onnxopt.measure.models import backend_of
from onnxopt.target import Backend, Feeds, Outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """A model and what it runs on."""

    label: str
    model: ir.Model
    backend: Backend
    optimized: bool
    """The runtime may rewrite the graph; else it runs as it is written, large ones in segments."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[Run]:
        """Open the model for several runs, whose errors name it."""
        if self.optimized:
            with self.backend.open(self.model) as session:
                yield self._named(session.run)
        else:
            with Evaluator(self.backend).opened(self.model) as run:
                yield self._named(run)

    def _named(self, run: Run) -> Run:
        def named(feeds: Feeds) -> Outputs:
            try:
                return run(feeds)
            except OnnxoptError as error:
                raise type(error)(f"{self.label}: {error}") from error

        return named


def backend_for(text: str, optimization: str) -> tuple[Backend, bool]:
    """Return a target, and whether its runtime may rewrite graphs.

    ``optimization`` holds where the text does not say anything else. Raises UsageError for targets
    and options that are not there, BackendError for a target that cannot be used here.
    """
    backend: Any = backend_of(text)
    why = backend.unavailable()
    if why is not None:
        raise BackendError(why)
    if not hasattr(backend, "optimization"):
        if optimization == "all":
            raise UsageError(f"'{text}' has no optimizer that could be turned on or off")
        return backend, True
    if "optimization" not in text:
        backend = dataclasses.replace(backend, optimization=optimization)
    return backend, backend.optimization != "off"


class Adapter:
    """Makes feeds of the first model fit the second, and outputs of the second comparable."""

    def __init__(self, first: ir.Model, second: ir.Model) -> None:
        self.notes: list[str] = []
        self._inputs: list[tuple[str, str, np.dtype | None]] = []
        self._outputs: dict[str, str] = {}
        self.alone: list[str] = []
        """What is said of outputs that only one of the models has."""
        self._match_inputs(_fed(first), _fed(second))
        self._match_outputs(first.graph.outputs, second.graph.outputs)

    def feeds(self, given: Feeds) -> Feeds:
        """Return the feeds of the second model."""
        return {
            theirs: given[mine] if dtype is None else given[mine].astype(dtype)
            for mine, theirs, dtype in self._inputs
            if mine in given
        }

    def outputs(self, first: Outputs, second: Outputs) -> tuple[Outputs, Outputs]:
        """Return the outputs that both have, under the names of the first model."""
        kept = {mine: first[mine] for mine in self._outputs}
        return kept, {mine: second[theirs] for mine, theirs in self._outputs.items()}

    def _match_inputs(self, mine: Sequence[ir.Value], theirs: Sequence[ir.Value]) -> None:
        pairs = aligned(mine, theirs)
        known = {id(value) for pair in pairs for value in pair}
        for value in theirs:
            if id(value) not in known:
                raise ModelError(
                    f"the second model has an input '{value.name}' {type_text(value)}, which the "
                    f"first has not; its inputs are {_listed(mine)}"
                )
        for value in mine:
            if id(value) not in known:
                self.notes.append(f"only the first model has an input '{value.name}'")
        for one, other in pairs:
            self._inputs.append((one.name or "", other.name or "", self._fitted(one, other)))

    def _fitted(self, one: ir.Value, other: ir.Value) -> np.dtype | None:
        """Return the type to cast a feed to; raise ModelError where no feed suits both."""
        if one.name != other.name:
            self.notes.append(f"input '{one.name}' of the first model feeds '{other.name}'")
        if alike(one, other):
            return None
        floats = one.dtype, other.dtype
        cast = ir.Value(type=other.type, shape=one.shape)
        if all(d is not None and d.is_floating_point() for d in floats) and alike(cast, other):
            self.notes.append(f"input '{one.name}' is cast from {one.dtype} to {other.dtype}")
            return None if other.dtype is None else other.dtype.numpy()
        raise ModelError(
            f"no data suits both models: input '{one.name}' is {type_text(one)} in the first and "
            f"{type_text(other)} in the second"
        )

    def _match_outputs(self, mine: Sequence[ir.Value], theirs: Sequence[ir.Value]) -> None:
        pairs = aligned(mine, theirs)
        if not pairs:
            raise ModelError(
                f"the models have no output in common: {_listed(mine)} and {_listed(theirs)}"
            )
        known = {id(value) for pair in pairs for value in pair}
        for which, values in (("first", mine), ("second", theirs)):
            for value in values:
                if id(value) not in known:
                    self.alone.append(f"output '{value.name}' is in the {which} model only")
        for one, other in pairs:
            if one.name != other.name:
                self.notes.append(f"output '{one.name}' is held against '{other.name}'")
            self._outputs[one.name or ""] = other.name or ""


def in_types_of(expected: Outputs, actual: Outputs) -> Outputs:
    """Return outputs in the floating-point types of others."""
    result = dict(actual)
    for name, array in actual.items():
        wanted = expected.get(name)
        if not isinstance(array, np.ndarray) or not isinstance(wanted, np.ndarray):
            continue
        if continuous(array) and continuous(wanted):
            result[name] = array.astype(wanted.dtype)
    return result


def _fed(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if not value.is_initializer()]


def _listed(values: Sequence[ir.Value]) -> str:
    return ", ".join(f"'{value.name}' {type_text(value)}" for value in values) or "none"
