"""One scheme being tried: built, guarded, and mended where it costs too much."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Gate, Load
from onnxopt.errors import BackendError
from onnxopt.pipeline import Pipeline
from onnxopt.quantization import ranges
from onnxopt.quantization.calibration import LastCalibration
from onnxopt.quantizer.guard import Guard, Loss, decibels, expected_db
from onnxopt.quantizer.memory import Memory
from onnxopt.quantizer.mixed import Timing, leave_out
from onnxopt.quantizer.patterns import Patterns, literal, narrowed
from onnxopt.quantizer.report import Sensitivity, Tried
from onnxopt.quantizer.schemes import DYNAMIC, SCHEMES, Scheme
from onnxopt.report import Size
from onnxopt.verify import Verify

TRACED_ON = 8
"""Samples that every layer is tried on alone."""

LEAST_BITS = 7
"""Narrower types are expected to do damage: nothing is put back, and the result is handed back."""

RESTING = ", the rest dynamic"
"""What is put behind that of one whose layers that went back to float are quantized dynamically."""

PARTLY = ", in part"
"""What is put behind the name of a scheme whose layers were chosen by their times as well."""

_DEAFENING = 1e6
"""The noise, over the signal, beyond which it does not matter how much it is."""

_ROUNDS = 5
_TIGHTER = 0.7
"""What the bound on the sum of noises is multiplied by where the noise together is beyond it."""
_CLEARLY = 0.9
"""An alternative is better whose noise is at most such a share."""


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
    """What was left out beside what was asked for."""
    first: str = ""
    """Passes that were run before the scheme's pipeline."""
    then: str = ""
    """Passes that were run behind it."""


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
    mixes: bool = True
    """Where parts are measured, try as well what leaves in float what is faster there."""
    sensitive: bool = False
    """Quantize every layer alone, to say what it costs."""
    without: list[str] = dataclasses.field(default_factory=list)
    """Why values got no range, for a person to read."""

    def _prepared(self, once: str, last: LastCalibration | None = None) -> ir.Model:
        """Return a model that the scheme's pipeline can be run on again and again."""
        model = self.source.clone()
        context = dataclasses.replace(self.context, last_calibration=last)
        Pipeline.parse(self._before(once)).run(model, context)
        self.without.extend(why for why in ranges.without(model) if why not in self.without)
        return model

    def _before(self, once: str) -> str:
        """Return the passes that prepare the optimized model, as text."""
        raised = f"raise-opset{{to={self.scheme.opset}}}"
        older = graph.opset(self.source) < self.scheme.opset
        return _joined(raised if older else "", "infer-shapes", once)

    def build(
        self,
        ready: ir.Model,
        only: Patterns = (),
        skip: Patterns = (),
        *,
        first: str = "",
        then: str = "",
    ) -> Built:
        """Quantize a copy of a prepared model, leaving out what the patterns say."""
        model, gate = ready.clone(), Gate()
        context = dataclasses.replace(self.context, gate=gate)
        steps = Pipeline.parse(_joined(first, str(self.steps(only, skip)), then))
        steps.run(model, context, [Verify()])
        found = [site.value for site in gate.applied if site.rule in steps.quantizing]
        self.finish.run(model, context)
        return Built(model=model, layers=tuple(dict.fromkeys(found)))

    def steps(self, only: Patterns = (), skip: Patterns = ()) -> Pipeline:
        """Return the scheme's pipeline with patterns of what is quantized and what is not."""
        asked = only or self.only
        return Pipeline(
            tuple(
                narrowed(step, asked, (*self.skip, *skip))
                for step in Pipeline.parse(self.scheme.pipeline).steps
            )
        )

    def text(self, outcome: Outcome) -> str:
        """Return the pipeline that makes an outcome again from the optimized model."""
        steps = str(self.steps(skip=outcome.skip))
        return _joined(
            self._before(outcome.once), outcome.first, steps, outcome.then, str(self.finish)
        )

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
        ready = self.best()
        if ready is None:
            return [self._refused(self.nothing)]
        least = expected_db(len(ready.built.layers), self.scheme.bits)
        poor = ready.loss.strange or ready.loss.sqnr_db < least
        mends = poor and self.scheme.bits >= LEAST_BITS
        timing = None if self.time is None else self.time(ready.model, ready.built)
        mixed = timing if self.mixes else None
        noise: Mapping[str, float] = {}
        if mends or self.sensitive:
            noise = self.alone(ready.model, ready.built.layers, Memory())
        found = [self._whole(ready, least)]
        if mends:
            ways = [mixed] if mixed is None else [mixed, None]
            found = [self._mended(ready, noise, least, way) for way in ways]
            if self.mixes:
                found += self._rest(ready, *found[-1], least)
        elif mixed is not None:
            found += self._faster(ready, least, mixed)
        found = [self._bettered(ready, *each, least) for each in found]
        if self.sensitive:
            tried = found[0][1]
            tried.sensitivity = sensitivity(ready.built, noise, timing)
        return [(outcome, tried) for outcome, tried in found]

    def untaken(self, error: BackendError, where: str) -> tuple[None, Tried]:
        """Say that what it was run on refuses what the scheme makes."""
        return self._refused(f"{where} does not run it: {error}")

    @property
    def nothing(self) -> str:
        """Why nothing was quantized."""
        target = self.context.target
        if self.scheme.integer and target.integer is None:
            return f"nothing is known that {target.name} computes faster on integers"
        return f"the model has no layer of the kind that it quantizes: {self.scheme.about}"

    def _refused(self, why: str) -> tuple[None, Tried]:
        return None, Tried(scheme=self.scheme.name, refused=why)

    def _unseen(self) -> tuple[Outcome | None, Tried]:
        """Build, and run nothing."""
        once = self.scheme.once[0]
        built = self.build(self._prepared(once))
        if not built.layers:
            return self._refused(self.nothing)
        weight_bytes = Size.of(built.model).weight_bytes
        tried = Tried(scheme=self.scheme.name, layers=len(built.layers), weight_bytes=weight_bytes)
        return Outcome(built=built, once=once), tried

    def best(self) -> Ready | None:
        """Return the alternative that keeps the outputs best; None where nothing is quantized."""
        best: Ready | None = None
        last = LastCalibration() if len(self.scheme.once) > 1 else None
        for once in self.scheme.once:
            model = self._prepared(once, last)
            built = self.build(model)
            if not built.layers:
                break
            found = Ready(once=once, model=model, built=built, loss=self.loss(built))
            if best is None or found.loss.noise < _CLEARLY * best.loss.noise:
                best = found
        return best

    def _bettered(
        self, ready: Ready, outcome: Outcome, tried: Tried, least: float
    ) -> tuple[Outcome, Tried]:
        """Run the scheme's further passes on an outcome's layers, where that is clearly better.

        They are told to leave what the outcome leaves, so that they plan as it was planned.
        """
        skip = (*self.skip, *outcome.skip)
        for more in self.scheme.then:
            steps = (narrowed(step, self.only, skip) for step in Pipeline.parse(more).steps)
            first = _joined(outcome.first, str(Pipeline(tuple(steps))))
            built = self.build(ready.model, skip=outcome.skip, first=first, then=outcome.then)
            loss = self.loss(built)
            if built.layers != outcome.built.layers or not loss.noise < _CLEARLY * tried.noise:
                continue
            outcome = dataclasses.replace(outcome, built=built, first=first)
            judged = self.judged(built, loss, least)
            tried = dataclasses.replace(
                tried, sqnr_db=judged.sqnr_db, agreement=judged.agreement, refused=judged.refused
            )
        return outcome, tried

    def _whole(self, ready: Ready, least: float) -> tuple[Outcome, Tried]:
        outcome = Outcome(built=ready.built, once=ready.once)
        return outcome, self.judged(ready.built, ready.loss, least)

    def judged(self, built: Built, loss: Loss, least: float) -> Tried:
        """Return what the guard says of a model of which it asks at least so many dB."""
        return Tried(
            scheme=self.scheme.name,
            layers=len(built.layers),
            calibrates=self.scheme.calibrates,
            bits=self.scheme.bits,
            least_db=least,
            sqnr_db=loss.sqnr_db,
            agreement=loss.agreement,
            weight_bytes=Size.of(built.model).weight_bytes,
            refused=loss.refusal(least),
        )

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
        total = min(ready.loss.noise, _DEAFENING)
        for _ in range(_ROUNDS):
            out = leave_out(alone, total, allowed, timing)
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
        if tried.refused:
            loudest = sorted(built.layers, key=lambda name: -alone[name])
            tried.loudest = {name: decibels(alone[name]) for name in loudest if alone[name]}
        tried.scheme += PARTLY if timing is not None else ""
        return Outcome(built=built, once=ready.once, skip=skip), tried

    def _rest(
        self, ready: Ready, outcome: Outcome, tried: Tried, least: float
    ) -> Iterator[tuple[Outcome, Tried]]:
        """Yield an outcome with its layers that went back to float quantized dynamically.

        Ranges that are found in every run may do what fixed ones could not.
        """
        gone = tried.in_float.keys()
        if tried.refused or not gone:
            return
        steps = Pipeline.parse(SCHEMES[DYNAMIC].pipeline).steps
        only = tuple(map(literal, gone))
        then = str(Pipeline(tuple(narrowed(step, only, self.skip) for step in steps)))
        built = self.build(ready.model, skip=outcome.skip, then=then)
        if len(built.layers) <= len(outcome.built.layers):
            return
        found = self.judged(built, self.loss(built), least)
        found.scheme += RESTING
        found.in_float = {k: db for k, db in tried.in_float.items() if k not in built.layers}
        yield dataclasses.replace(outcome, built=built, then=then), found

    def alone(self, ready: ir.Model, layers: Sequence[str], memory: Memory) -> Mapping[str, float]:
        """Return the noise of every layer quantized alone, over the signal of the outputs."""
        whole = functools.cache(lambda: self.loss(self.build(ready), count=TRACED_ON).noise)
        for at, name in enumerate(layers):
            if name not in memory.noise:
                self.context.progress("finding what costs most", at, len(layers))
                memory.noisy(name, min(self._alone(ready, layers, name, whole), _DEAFENING))
        return {name: memory.noise[name] for name in layers}

    def _alone(
        self, ready: ir.Model, layers: Sequence[str], name: str, whole: Callable[[], float]
    ) -> float:
        """Return the noise of one layer.

        Of one that is only quantized between others: what of the ``whole`` is gone without it.
        """
        others = tuple(literal(other) for other in layers if other != name)
        single = self.build(ready, skip=others)
        if single.layers:
            return self.loss(single, count=TRACED_ON).noise
        rest = self.loss(self.build(ready, skip=(literal(name),)), count=TRACED_ON).noise
        return max(whole() - rest, 0.0) if math.isfinite(whole()) and math.isfinite(rest) else 0.0


def sensitivity(
    whole: Built, noise: Mapping[str, float], timing: Timing | None
) -> list[Sensitivity]:
    """Return what is known of each layer of the whole, the one first that costs most alone.

    ``noise`` is that of layers alone, over the signal.
    """
    gains = {} if timing is None else timing.gain()
    rows = [
        Sensitivity(
            layer=name,
            signal_db=decibels(noise[name]),
            gain_s=gains.get(name),
        )
        for name in whole.layers
        if name in noise
    ]
    return sorted(rows, key=lambda row: row.signal_db)


def _joined(*texts: str) -> str:
    return ", ".join(filter(None, texts))
