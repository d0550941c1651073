"""One scheme being tried: built, guarded, and mended where it costs too much."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Gate, Load, Pass
from onnxopt.pipeline import Pipeline, Step
from onnxopt.quantizer.guard import Guard, Loss, expected_db, to_leave_out
from onnxopt.quantizer.report import Tried
from onnxopt.quantizer.schemes import Scheme
from onnxopt.report import Size
from onnxopt.verify import Verify

TRACED_ON = 8
"""Samples that every layer is tried on alone."""

_ROUNDS = 5

Patterns = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Built:
    """A quantized model and the layers that are."""

    model: ir.Model
    layers: tuple[str, ...]
    """The outputs of the layers, by which patterns name them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A scheme on an optimized model, which stays as it is."""

    scheme: Scheme
    source: ir.Model
    context: Context
    guard: Guard
    open: Load
    """Opens a model on the target."""
    finish: Pipeline
    only: Patterns = ()
    skip: Patterns = ()

    def prepared(self) -> ir.Model:
        """Return a model that the scheme's pipeline can be run on again and again."""
        model = self.source.clone()
        first = [f"raise-opset{{to={self.scheme.opset}}}"]
        first = first if graph.opset(model) < self.scheme.opset else []
        once = [self.scheme.once] if self.scheme.once else []
        Pipeline.parse(", ".join([*first, "infer-shapes", *once])).run(model, self.context)
        return model

    def build(self, ready: ir.Model, only: Patterns = (), skip: Patterns = ()) -> Built:
        """Quantize a copy of a prepared model, leaving out what the patterns say."""
        model, gate = ready.clone(), Gate()
        context = dataclasses.replace(self.context, gate=gate)
        steps = self.steps(only, skip)
        steps.run(model, context, [Verify()])
        layers = tuple(site.value for site in gate.applied)
        self.finish.run(model, context)
        return Built(model=model, layers=layers)

    def steps(self, only: Patterns = (), skip: Patterns = ()) -> Pipeline:
        """Return the scheme's pipeline with patterns of what is quantized and what is not."""
        asked = only or self.only
        return Pipeline(
            tuple(
                _narrowed(step, asked, (*self.skip, *skip))
                for step in Pipeline.parse(self.scheme.pipeline).steps
            )
        )

    def loss(self, built: Built, *, count: int | None = None) -> Loss:
        """Return what the outputs have lost."""
        with self.open(built.model) as session:
            return self.guard.loss(session, count=count)

    def run(self) -> tuple[Built | None, Tried, Patterns]:
        """Build; where the loss is more than the types explain, put the loudest layers back."""
        ready = self.prepared()
        built = self.build(ready)
        tried = Tried(scheme=self.scheme.name)
        if not built.layers:
            tried.refused = "it finds no layer to quantize"
            return None, tried, ()
        loss = self.loss(built)
        skip: Patterns = ()
        least = expected_db(len(built.layers), self.scheme.bits)
        if self.scheme.bits == 8 and (loss.strange or loss.sqnr_db < least):
            built, loss, skip = self._mended(ready, built, loss, least, tried)
        tried.layers, tried.least_db = len(built.layers), least
        tried.sqnr_db, tried.agreement = loss.sqnr_db, loss.agreement
        tried.weight_bytes = Size.of(built.model).weight_bytes
        if loss.strange:
            tried.refused = "its outputs are NaN, infinite or of another shape"
        elif loss.sqnr_db < least:
            tried.refused = (
                f"its outputs keep {loss.sqnr_db:.1f} dB, where the types explain {least:.1f} dB"
            )
        return built, tried, skip

    def _mended(
        self, ready: ir.Model, built: Built, loss: Loss, least: float, tried: Tried
    ) -> tuple[Built, Loss, Patterns]:
        """Put back the layers that make most of the noise, until little enough is left."""
        alone = self._alone(ready, built.layers)
        out: list[str] = []
        for _ in range(_ROUNDS):
            left = {name: noise for name, noise in alone.items() if name not in out}
            more = to_leave_out(left, loss.noise, 10 ** (-least / 10))
            if not more or len(out) + len(more) >= len(alone):
                break
            out += more
            skip = tuple(literal(name) for name in out)
            trial = self.build(ready, skip=skip)
            if not trial.layers:
                break
            built, loss = trial, self.loss(trial)
            if not loss.strange and loss.sqnr_db >= least:
                break
        tried.in_float = {name: _db(alone[name]) for name in out}
        return built, loss, tuple(literal(name) for name in out)

    def _alone(self, ready: ir.Model, layers: Sequence[str]) -> dict[str, float]:
        """Return the noise of every layer quantized alone, over the signal of the outputs."""
        found = {}
        for at, name in enumerate(layers):
            self.context.progress("finding what costs most", at, len(layers))
            single = self.build(ready, only=(literal(name),))
            noise = self.loss(single, count=TRACED_ON).noise if single.layers else 0.0
            found[name] = min(noise, 1e6)
        return found


def literal(name: str) -> str:
    """Return a shell pattern that matches a name and nothing else."""
    return re.sub(r"([\[*?])", r"[\1]", name)


def _db(noise: float) -> float:
    return -10 * math.log10(noise) if noise > 0 else math.inf


def _narrowed(step: Step, only: Patterns, skip: Patterns) -> Step:
    fields = {field.name for field in dataclasses.fields(step)}
    if not isinstance(step, Pass) or not {"only", "skip"} <= fields:
        return step
    changed: Pass = dataclasses.replace(step, only=only, skip=skip)  # type: ignore[call-arg]
    return changed
