"""Carry out a quantization: optimize, try schemes, guard, measure, choose."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import onnx_ir as ir

from onnxopt import catalogue, floats, graph, io, lossless
from onnxopt.base import Context
from onnxopt.costs import Costs
from onnxopt.errors import BackendError, UsageError
from onnxopt.feeds import sizes_of
from onnxopt.measure.report import Row
from onnxopt.pipeline import Pipeline
from onnxopt.profiling import executed
from onnxopt.quantization.coverage import foretold, integer_operators, seen, share_of
from onnxopt.quantizer.attempt import Attempt, Built, Outcome, Time
from onnxopt.quantizer.budgeted import Budgeted
from onnxopt.quantizer.carried import carried
from onnxopt.quantizer.choosing import FLOAT, GIVEN, Choosing
from onnxopt.quantizer.guard import STEPS, Guard
from onnxopt.quantizer.judge import Judge
from onnxopt.quantizer.latencies import latencies
from onnxopt.quantizer.mixed import Timing
from onnxopt.quantizer.patterns import unmatched
from onnxopt.quantizer.portability import portability
from onnxopt.quantizer.regions import elements, parts_of, timed
from onnxopt.quantizer.report import QuantizeReport, Tried
from onnxopt.quantizer.request import Request
from onnxopt.quantizer.schemes import CHOSEN_FROM, STATIC, Scheme, scheme_of
from onnxopt.quantizer.settings import held_against
from onnxopt.report import Size
from onnxopt.split import CALIBRATING, Split
from onnxopt.target import Backend, Session

COMPARED = 24
"""Samples held back that outputs are compared on; a metric is taken from all of them."""


def run(source: ir.Model | Path, request: Request) -> tuple[ir.Model, QuantizeReport]:
    """Quantize a model, or the file of one; return the result and what was tried.

    Raises UsageError for an unknown target or scheme, ModelError for a model that is quantized
    already or cannot be read and for samples that do not fit it.
    """
    return _Quantization(source, request).run()


class _Quantization:
    def __init__(self, source: ir.Model | Path, request: Request) -> None:
        self._source, self._request = source, request
        asked = request.scheme
        self._backend = catalogue.backend(request.target)
        self._target = self._backend.target()
        self._absent = self._backend.unavailable()
        self._runner = self._backend
        half: list[str] = list(self._target.half)
        integer = [*CHOSEN_FROM]  # where nothing is measured the first that fits is taken
        tried = half + integer if self._target.integer is None else integer + half
        names = [asked] if asked else tried
        self._schemes = [scheme_of(name) for name in names]
        self._left_out = (*floats.FORMS, *request.skip_passes)
        self._warnings: list[str] = []
        self._unsteady: list[str] = []
        self._notes: list[str] = []
        self._tried: list[Tried] = []
        self._built: dict[str, tuple[Built, str]] = {}
        self._set_to: dict[str, Backend] = {}
        self._scored = ""

    def run(self) -> tuple[ir.Model, QuantizeReport]:
        started = time.perf_counter()
        if self._absent is not None and self._request.compare:
            self._emulate(self._absent)
        compared = self._compares()
        model = self._optimized()
        self._warnings += unmatched(model, (*self._request.only, *self._request.skip))
        reference = lossless.reference()
        seed = self._request.seed
        split = Split.of(self._request.samples, model, reference, CALIBRATING, seed=seed)
        self._warn(split, compared=compared)
        held = split.held(COMPARED) if compared else []
        with contextlib.ExitStack() as stack:
            session = stack.enter_context(self._runner.open(model)) if compared else None
            guard = None if session is None else Guard(session, held, carried(model))
            judge = None if session is None else self._judge(session, split)
            if guard is not None and guard.carried:
                pairs = ", ".join(f"{name} into {into}" for name, into in guard.carried.items())
                self._notes.append(f"compared over {STEPS} steps that feed {pairs}")
            for scheme in self._schemes:
                if not self._interrupted():
                    self._try(scheme, model, split, guard, judge)
        plain = self._plain(model) if compared or not self._built else model
        if self._request.scheme is None and guard is not None and judge is None:
            self._set(plain, guard)
        if compared and self._request.measure and not self._interrupted():
            self._tried.insert(0, Tried(scheme=FLOAT, weight_bytes=Size.of(plain).weight_bytes))
            self._measure(plain, split)
        choosing = Choosing(self._tried, self._built, measured=self._request.measure)
        chosen, why = choosing.best() if self._request.scheme is None else self._asked_for(choosing)
        built = self._built.get(chosen)
        for row in self._tried:
            row.taken(built[0].layers if built else ())
        report = QuantizeReport(
            model=_name(self._source),
            target=self._request.target,
            pipeline=self._pipeline(chosen),
            passes=built[1] if built else "",
            chosen=chosen,
            why=why,
            tried=self._tried,
            calibrated_on=split.fitted if self._calibrates() else 0,
            compared_on=len(held),
            scored_on=0 if judge is None else split.count - (0 if split.single else split.fitted),
            warnings=self._warnings,
            unsteady=self._unsteady,
            notes=self._notes,
            seconds=time.perf_counter() - started,
        )
        if chosen == GIVEN:
            return self._given(), report
        return (built[0].model if built else plain), report

    def _given(self) -> ir.Model:
        return io.load(self._source) if isinstance(self._source, Path) else self._source.clone()

    def _pipeline(self, chosen: str) -> str:
        """Return what makes a result again from the model given, as text."""
        if chosen == GIVEN:
            return ""
        built = self._built.get(chosen)
        last = built[1] if built else floats.last_passes(self._target, floats.FORMS)
        return f"{floats.first_passes(self._target, self._left_out)}, {last}"

    def _asked_for(self, choosing: Choosing) -> tuple[str, str]:
        chosen, why, warning = choosing.asked_for(self._schemes[0].bits)
        self._warnings += [warning] if warning else []
        return chosen, why

    def _emulate(self, why: str) -> None:
        """Compare on the reference, which computes what the operators say, for want of the target.

        Raises BackendError where latency was to be measured.
        """
        name = self._request.target
        if self._request.measure:
            raise BackendError(
                f"{why}; --no-measure quantizes for {name} all the same, compared on the CPU"
            )
        self._runner = catalogue.backend(lossless.REFERENCE)
        foretold = f", and what {name} computes on integers is foretold only"
        self._warnings.append(
            f"{name} is not on this machine: outputs were compared on the CPU"
            f"{foretold if self._target.integer else ''}"
        )

    def _compares(self) -> bool:
        """Return whether models are run to say what is lost."""
        asked = self._request
        if asked.compare:
            return True
        if asked.scheme is None:
            raise UsageError("what is best cannot be told without comparing: name a scheme")
        if asked.check_portability or asked.sensitivity or asked.accuracy is not None:
            raise UsageError(
                "what is lost cannot be told without comparing: leave --no-compare out"
            )
        self._warnings.append("nothing was compared: score the result on labelled data")
        return False

    def _optimized(self) -> ir.Model:
        """Return the model after the target's lossless passes, all weights fixed."""
        model, notes = floats.optimized(
            self._source,
            self._target.name,
            "quantize the float model that it was made from",
            skip=self._left_out,
            option="--skip-pass",
            observers=self._request.observers,
            seed=self._request.seed,
        )
        self._notes += notes
        return model

    def _plain(self, model: ir.Model) -> ir.Model:
        """Return the optimized model in the form that floats are computed in fastest, verified."""
        if not any(name in self._target.pipeline for name in floats.FORMS):
            return model
        tail = floats.last_passes(self._target, floats.FORMS)
        request = lossless.Request(target=self._target.name, pipeline=tail, seed=self._request.seed)
        return lossless.run(model, request)[0]

    def _judge(self, session: Session, split: Split) -> Judge | None:
        budget = self._request.accuracy
        if budget is None:
            return None
        self._scored = split.compared().fingerprint()
        return Judge(budget, session, split.compared(), self._runner.open)

    def _calibrates(self) -> bool:
        return any(scheme.calibrates for scheme in self._schemes)

    def _interrupted(self) -> bool:
        return any(row.interrupted for row in self._tried)

    def _warn(self, split: Split, *, compared: bool) -> None:
        ranges = self._calibrates()
        uses = [n for n, used in (("ranges", ranges), ("the comparison", compared)) if used]
        if self._request.samples is None and uses:
            self._warnings.append(
                f"no samples: {' and '.join(uses)} rest on made-up inputs, and the result may be "
                "worth nothing on real ones; pass --samples"
            )
        elif split.single and compared:
            serves = "serves to calibrate and to compare" if ranges else "alone is compared on"
            self._warnings.append(f"one sample {serves}, so nothing tells how others fare")

    def _try(
        self,
        scheme: Scheme,
        model: ir.Model,
        split: Split,
        guard: Guard | None,
        judge: Judge | None,
    ) -> None:
        tail = floats.last_passes(self._target)
        attempt = Attempt(
            scheme=scheme,
            source=model,
            context=Context(
                target=self._target,
                evaluate=lossless.reference(),
                load=catalogue.backend(lossless.STREAM).open,
                samples=split.fitting(),
                seed=self._request.seed,
                progress=self._told(scheme.name),
            ),
            guard=guard,
            open=self._runner.open,
            finish=Pipeline.parse(tail),
            only=self._request.only,
            skip=self._request.skip,
            time=self._timer(scheme, split),
            mixes=self._request.scheme is None,
            sensitive=self._request.sensitivity,
        )
        self._told(scheme.name)("quantizing", 0, None)
        try:
            found = self._attempted(attempt, judge)
        except BackendError as error:
            found = [attempt.untaken(error, self._place())]
        if any(tried.layers for _, tried in found):
            self._notes += [why for why in attempt.without if why not in self._notes]
        for outcome, tried in found:
            self._tried.append(tried)
            if outcome is not None:
                self._look(outcome.built, tried, split, guard)
                self._built[tried.scheme] = outcome.built, attempt.text(outcome)
        if graph.opset(model) < scheme.opset and self._tried[-1].layers:
            self._notes.append(
                f"{scheme.name}: the operator set was raised from {graph.opset(model)} to "
                f"{scheme.opset}"
            )

    def _place(self) -> str:
        """Return what runs models, and in whose place."""
        own = self._runner.target().name
        return own if self._absent is None else f"{own}, in the place of {self._request.target},"

    def _attempted(
        self, attempt: Attempt, judge: Judge | None
    ) -> list[tuple[Outcome | None, Tried]]:
        if judge is None:
            return attempt.run()
        path, name = self._request.state, attempt.scheme.name
        state = None if path is None else path.with_name(f"{path.name}.{name}")
        keep = self._request.keep
        keys = (self._request.target, self._scored)
        return [Budgeted(attempt=attempt, judge=judge, state=state, keep=keep, keys=keys).run()]

    def _timer(self, scheme: Scheme, split: Split) -> Time | None:
        """Return what times the parts of a quantized model, where its layers are to be chosen."""
        kernels, asked = self._target.integer, self._request
        wanted = asked.scheme is None or asked.accuracy is not None or asked.sensitivity
        if kernels is None or not wanted or not asked.measure:
            return None
        if scheme.name != STATIC or not kernels.told_apart:
            return None

        def time(ready: ir.Model, built: Built) -> Timing | None:
            feeds = split.held(1)
            try:
                integer = executed(built.model, self._backend, feeds)
                plain = executed(ready, self._backend, feeds)
            except BackendError:
                return None
            parts = parts_of(built.model, kernels, built.layers)
            timed(parts, integer, plain)
            return Timing(parts=parts, sizes=elements(plain))

        return time

    def _look(self, built: Built, tried: Tried, split: Split, guard: Guard | None) -> None:
        """Say what is to be known of a quantized model beside what it has lost."""
        if guard is None:
            return
        self._cover(built, tried, split)
        if self._request.check_portability:
            self._told(tried.scheme)("emulating x86 without VNNI", 0, None)
            exact = catalogue.backend(lossless.REFERENCE)
            tried.portability = portability(built.model, guard, exact.open)

    def _set(self, model: ir.Model, guard: Guard) -> None:
        """Try settings of the runtime on the float model and on what keeps the outputs."""
        if self._absent is not None:
            return
        text = floats.last_passes(self._target, floats.FORMS)
        ready = {FLOAT: (Built(model=model, layers=()), text)}
        ready |= {r.scheme: self._built[r.scheme] for r in self._tried if self._fits(r)}
        for name, backend in self._backend.faster().items():
            for scheme, (built, made) in ready.items():
                label = name if scheme == FLOAT else f"{scheme}, {name}"
                self._told(label)("comparing", 0, None)
                self._tried.append(held_against(label, built, backend, guard))
                self._built[label], self._set_to[label] = (built, made), backend

    def _measure(self, plain: ir.Model, split: Split) -> None:
        """Measure the model given, the optimized one, and what keeps the outputs.

        Those of which each may be the fastest are measured again, without the others.
        """
        rows = {row.scheme: row for row in self._tried if row.scheme == FLOAT or self._fits(row)}
        for name, row in self._timed(rows, plain, split).items():
            rows[name].latency, rows[name].outcome = row.ratio, row.outcome
            rows[name].verdict = row.verdict or (row.error or "")
        tied = {row.scheme: row for row in Choosing(self._tried, self._built, measured=True).tied()}
        for name, row in (self._timed(tied, plain, split) if tied else {}).items():
            tied[name].measured_again(row.ratio, row.verdict)

    def _timed(self, names: Iterable[str], plain: ir.Model, split: Split) -> Mapping[str, Row]:
        models = {n: plain if n == FLOAT else self._built[n][0].model for n in names}
        found = latencies(
            self._source,
            models,
            {name: self._set_to.get(name, self._backend) for name in models},
            feeds=split.held(4),
            budget_s=self._request.budget_s,
            seed=self._request.seed,
            default=self._backend,
            progress=self._request.progress,
        )
        self._unsteady += found.warnings
        return found.rows

    def _fits(self, row: Tried) -> bool:
        return row.scheme in self._built and not row.refused

    def _told(self, name: str) -> Callable[[str, int, int | None], None]:
        def told(what: str, done: int, of: int | None) -> None:
            self._request.progress(done / of if of else 0.0, f"{name}: {what}")

        return told

    def _cover(self, built: Built, tried: Tried, split: Split) -> None:
        """Foretell the share of integer multiply-adds, and look at what ran where that shows."""
        kernels = self._target.integer
        expected = None if kernels is None else foretold(built.model, kernels)
        if kernels is None or expected is None or not expected.integer:
            return
        costs = Costs.of(built.model, sizes_of(built.model, split.held(1)[0]))
        tried.integer_share = share_of(costs.rows, kernels)
        if self._absent is not None:
            return
        try:
            nodes = executed(built.model, self._backend, split.held(1))
        except BackendError:
            return
        ran = [(node.node, f"{node.op_type} {node.provider}") for node in nodes]
        found = seen(expected, ran, integer_operators(kernels))
        tried.confirmed = found == expected
        tried.unlike = sorted(found.integer ^ expected.integer)


def _name(source: ir.Model | Path) -> str:
    return str(source) if isinstance(source, Path) else source.graph.name or "the model"
