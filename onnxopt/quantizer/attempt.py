"""One scheme being tried: built, guarded, and mended where it costs too much."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Gate, Load, Pass
from onnxopt.errors import BackendError
from onnxopt.pipeline import Pipeline, Step
from onnxopt.quantizer.guard import Guard, Loss, expected_db
from onnxopt.quantizer.memory import Memory
from onnxopt.quantizer.mixed import Timing, leave_out
from onnxopt.quantizer.report import Tried
from onnxopt.quantizer.schemes import Scheme
from onnxopt.report import Size
from onnxopt.verify import Verify

TRACED_ON = 8
"""Samples that every layer is tried on alone."""

NOTHING = "it finds no layer to quantize"
LEAST_BITS = 7
"""Narrower types are expected to do damage: nothing is put back, and the result is handed back."""

PARTLY = ", in part"
"""What is put behind the name of a scheme whose layers were chosen by their times as well."""

_ROUNDS = 5
_TIGHTER = 0.7
"""What the bound on the sum of noises is multiplied by where the noise together is beyond it."""
_CLEARLY = 0.9
"""An alternative is better whose noise is at most such a share."""

Patterns = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Built:
    """A quantized model and the layers that are."""

    model: ir.Model
    layers: tuple[str, ...]
    """The outputs of the layers, by which patterns name them."""


Time = Callable[[ir.Model, Built], Timing | None]
"""Takes the prepared float model and what was built of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an attempt."""

    built: Built
    once: str
    """The alternative of the scheme's that was taken."""
    skip: Patterns = ()
    """What was left in float beside what was asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """A model that the scheme's pipeline can be run on again and again, and what that makes."""

    once: str
    model: ir.Model
    built: Built
    loss: Loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A scheme on an optimized model, which stays as it is."""

    scheme: Scheme
    source: ir.Model
    context: Context
    guard: Guard | None
    """None where nothing is compared."""
    open: Load
    """Opens a model on the target."""
    finish: Pipeline
    only: Patterns = ()
    skip: Patterns = ()
    time: Time | None = None
    """Measures the parts of a quantized model; None where nothing is to be measured."""

    def prepared(self, once: str) -> ir.Model:
        """Return a model that the scheme's pipeline can be run on again and again."""
        model = self.source.clone()
        first = [f"raise-opset{{to={self.scheme.opset}}}"]
        first = first if graph.opset(model) < self.scheme.opset else []
        steps = [*first, "infer-shapes", *([once] if once else [])]
        Pipeline.parse(", ".join(steps)).run(model, self.context)
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

    def text(self, outcome: Outcome) -> str:
        """Return the pipeline that makes an outcome again from the optimized model."""
        first = f"infer-shapes, {outcome.once}, " if outcome.once else "infer-shapes, "
        return f"{first}{self.steps(skip=outcome.skip)}, {self.finish}"

    def loss(self, built: Built, *, count: int | None = None) -> Loss:
        """Return what the outputs have lost."""
        assert self.guard is not None
        with self.open(built.model) as session:
            return self.guard.loss(session, count=count)

    def run(self) -> list[tuple[Outcome | None, Tried]]:
        """Build; where the loss is more than the types explain, put layers back into float.

        Where times are measured, a second outcome leaves in float what is faster there.
        """
        if self.guard is None:
            return [self._unseen()]
        try:
            ready = self.best()
        except BackendError as error:
            return [self._refused(f"the target does not take it: {error}")]
        if ready is None:
            return [self._refused(NOTHING)]
        least = expected_db(len(ready.built.layers), self.scheme.bits)
        poor = ready.loss.strange or ready.loss.sqnr_db < least
        timing = None if self.time is None else self.time(ready.model, ready.built)
        found = [self._whole(ready, least)]
        if poor and self.scheme.bits >= LEAST_BITS:
            alone = self.alone(ready.model, ready.built.layers, Memory())
            ways = [timing] if timing is None else [timing, None]
            found = [self._mended(ready, alone, least, way) for way in ways]
        elif timing is not None:
            found += self._faster(ready, least, timing)
        return [(outcome, tried) for outcome, tried in found]

    def _refused(self, why: str) -> tuple[None, Tried]:
        return None, Tried(scheme=self.scheme.name, refused=why)

    def _unseen(self) -> tuple[Outcome | None, Tried]:
        """Build, and run nothing."""
        once = self.scheme.once[0]
        built = self.build(self.prepared(once))
        if not built.layers:
            return self._refused(NOTHING)
        weight_bytes = Size.of(built.model).weight_bytes
        tried = Tried(scheme=self.scheme.name, layers=len(built.layers), weight_bytes=weight_bytes)
        return Outcome(built=built, once=once), tried

    def best(self) -> Ready | None:
        """Return the alternative that keeps the outputs best; None where nothing is quantized."""
        best: Ready | None = None
        for once in self.scheme.once:
            model = self.prepared(once)
            built = self.build(model)
            if not built.layers:
                break
            found = Ready(once=once, model=model, built=built, loss=self.loss(built))
            if best is None or found.loss.noise < _CLEARLY * best.loss.noise:
                best = found
        return best

    def _whole(self, ready: Ready, least: float) -> tuple[Outcome, Tried]:
        outcome = Outcome(built=ready.built, once=ready.once)
        return outcome, self.judged(ready.built, ready.loss, least)

    def judged(self, built: Built, loss: Loss, least: float) -> Tried:
        """Return what the guard says of a model of which it asks at least so many dB."""
        tried = Tried(
            scheme=self.scheme.name,
            layers=len(built.layers),
            least_db=least,
            sqnr_db=loss.sqnr_db,
            agreement=loss.agreement,
            weight_bytes=Size.of(built.model).weight_bytes,
        )
        if loss.strange:
            tried.refused = "its outputs are NaN, infinite or of another shape"
        elif loss.sqnr_db < least:
            tried.refused = (
                f"its outputs keep {loss.sqnr_db:.1f} dB, where the types explain {least:.1f} dB"
            )
        return tried

    def _faster(
        self, ready: Ready, least: float, timing: Timing
    ) -> Iterator[tuple[Outcome, Tried]]:
        """Yield what is left when all that is faster in float is, unless that is all or nothing."""
        out = [part.name for part in timing.out()]
        skip = tuple(map(literal, out))
        built = self.build(ready.model, skip=skip) if out else ready.built
        if not 0 < len(built.layers) < len(ready.built.layers):
            return
        tried = self.judged(built, self.loss(built), least)
        tried.slower = [name for name in ready.built.layers if name not in built.layers]
        tried.scheme = f"{self.scheme.name}{PARTLY}"
        yield Outcome(built=built, once=ready.once, skip=skip), tried

    def _mended(
        self, ready: Ready, alone: Mapping[str, float], least: float, timing: Timing | None
    ) -> tuple[Outcome, Tried]:
        """Put layers back that make much of the noise, until little enough is left."""
        bound = allowed = 10 ** (-least / 10)
        built, loss = ready.built, ready.loss
        skip: Patterns = ()
        for _ in range(_ROUNDS):
            out = leave_out(alone, ready.loss.noise, allowed, timing)
            trial_skip = tuple(map(literal, out))
            trial = self.build(ready.model, skip=trial_skip)
            if not trial.layers:
                break
            built, loss, skip = trial, self.loss(trial), trial_skip
            if not loss.strange and loss.noise <= bound:
                break
            allowed *= _TIGHTER * min(bound / loss.noise, 1.0)
        tried = self.judged(built, loss, least)
        gone = sorted(set(alone) - set(built.layers), key=lambda name: -alone[name])
        tried.in_float = {name: decibels(alone[name]) for name in gone}
        tried.scheme += PARTLY if timing is not None else ""
        return Outcome(built=built, once=ready.once, skip=skip), tried

    def alone(self, ready: ir.Model, layers: Sequence[str], memory: Memory) -> Mapping[str, float]:
        """Return the noise of every layer quantized alone, over the signal of the outputs."""
        for at, name in enumerate(layers):
            if name in memory.noise:
                continue
            self.context.progress("finding what costs most", at, len(layers))
            single = self.build(ready, only=(literal(name),))
            noise = self.loss(single, count=TRACED_ON).noise if single.layers else 0.0
            memory.noisy(name, min(noise, 1e6))
        return {name: memory.noise[name] for name in layers}


def literal(name: str) -> str:
    """Return a shell pattern that matches a name and nothing else."""
    return re.sub(r"([\[*?])", r"[\1]", name)


def decibels(noise: float) -> float:
    """Return the signal over a noise that is given as a share of it."""
    return -10 * math.log10(noise) if noise > 0 else math.inf


def _narrowed(step: Step, only: Patterns, skip: Patterns) -> Step:
    fields = {field.name for field in dataclasses.fields(step)}
    if not isinstance(step, Pass) or not {"only", "skip"} <= fields:
        return step
    changed: Pass = dataclasses.replace(step, only=only, skip=skip)  # type: ignore[call-arg]
    return changed
