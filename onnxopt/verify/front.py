"""The whole of verification round a pipeline: run, compare, search, leave out, say so."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import enum
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx_ir as ir

from onnxopt.base import Evaluate, Gate, Observer, Pass
from onnxopt.errors import OnnxoptError, UsageError, VerificationError
from onnxopt.evaluate import SEGMENT_NODES
from onnxopt.feeds import Plan
from onnxopt.samples import Samples
from onnxopt.signature import Need
from onnxopt.target import Feeds
from onnxopt.verify import regions
from onnxopt.verify.bisect import FAULTS, Attempt, Hunt, Quarantined, hunt
from onnxopt.verify.numbers import Comparison, Mismatch, Tolerance
from onnxopt.verify.reference import Reference, refer
from onnxopt.verify.repro import Repro, Scene, write_repro
from onnxopt.verify.structure import Verify, signature

LARGE = 512 << 20
"""Bytes of weights from which only the regions that changed are evaluated."""


class Mode(enum.Enum):
    """When numbers are compared."""

    EACH = "each"
    """After every pass that changed something."""
    END = "end"
    """Once, after the last pass."""
    OFF = "off"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done, so that it can be done again and again."""

    load: Callable[[], ir.Model]
    """Make the original model, a new one at every call."""
    run: Callable[[ir.Model, Gate, Sequence[Observer]], int]
    """Run the pipeline on a model, in place, under a gate; return the number of changes."""
    observers: Callable[[], Sequence[Observer]] = tuple
    """Make the caller's own observers; called for every full run, the last of which counts."""
    path: Path | None = None
    """The original's file, where ``load`` makes the model from it unchanged."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """How thoroughly the work is checked."""

    mode: Mode = Mode.END
    evaluate: Evaluate | None = None
    """Runs models as they are written; without it only the structure is verified."""
    samples: Samples | None = None
    """What the model is really fed; made up where there are none."""
    seed: int = 0
    strict: bool = False
    """Stop at the first wrong rewrite instead of leaving it out."""
    repro: Repro | None = None
    """Where and how to write the smallest failing model; not written where it is None."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The model, and what is known about it."""

    model: ir.Model
    gate: Gate
    """The gate of the run that made it, with all its rewrites."""
    quarantined: tuple[Quarantined, ...] = ()
    comparison: Comparison
    """The worst differences that remain, and which outputs were excused."""
    tolerance: str = ""
    checked: tuple[str, ...] = ()
    """What was compared: how each set of feeds was made, or which regions were evaluated."""
    unverified: str | None = None
    """Why the numbers were not compared."""
    gave_up: str | None = None
    """Why the model is the original: the cause of a difference could not be found."""
    repros: tuple[Path, ...] = ()
    seconds: float = 0.0
    """What verification took, over the time of the pipeline itself."""


def run_verified(work: Work, check: Check) -> Outcome:
    """Run a pipeline on a model and hand back what computes the same.

    Wrong rewrites are found and left out; where that fails, the original is handed back. Raises
    VerificationError for a wrong rewrite when ``check.strict`` is set.
    """
    return _Run(work, check).outcome()


class _Run:
    def __init__(self, work: Work, check: Check) -> None:
        self._work = work
        self._check = check
        self._spent = 0.0
        self._judge: Callable[[ir.Model], Comparison] | None = None
        self._tolerance = Tolerance()
        self._described: tuple[str, ...] = ()
        self._unverified: str | None = None
        self._last = Comparison()
        self._feeds: Sequence[Feeds] = ()
        self._load = work.load
        self._repros: list[Path] = []

    def outcome(self) -> Outcome:
        start = time.perf_counter()
        model = self._work.load()
        if self._check.mode is Mode.OFF:
            gate = Gate()
            self._work.run(model, gate, self._work.observers())
            why = "verification is switched off"
            return Outcome(model=model, gate=gate, comparison=Comparison(), unverified=why)
        first = self._first(model)
        result = Hunt(first) if first.wrong is None else hunt(self._attempt, first, self._found)
        taken = self._spent if first.wrong is None else time.perf_counter() - start
        return self._concluded(result, taken)

    def _concluded(self, result: Hunt, seconds: float) -> Outcome:
        model, gate = result.last.model, result.last.gate
        if result.gave_up is not None or model is None:
            model, gate, self._last = self._load(), Gate(limit=0), Comparison()
            if self._check.strict:
                raise VerificationError(result.gave_up or "the pipeline failed")
        return Outcome(
            model=model,
            gate=gate,
            quarantined=result.quarantined,
            comparison=self._last,
            tolerance=str(self._tolerance),
            checked=self._described,
            unverified=self._unverified,
            gave_up=result.gave_up,
            repros=tuple(self._repros),
            seconds=seconds,
        )

    def _first(self, model: ir.Model) -> Attempt:
        """Run the pipeline for the first time, while the original runs beside it."""
        with self._timed():
            original = signature(model)
            nodes = len(model.graph)
            self._tolerance = Tolerance.of(model)
            pending = self._started(model, nodes)
        gate = Gate()
        attempt = self._run(model, gate, full=True)
        with self._timed():
            if pending is not None:
                self._settle(pending)
            if attempt.model is not None and signature(attempt.model) != original:
                self._adapt(attempt.model)
            return self._judged(attempt)

    def _started(self, model: ir.Model, nodes: int) -> Callable[[], Reference] | None:
        """Begin to run the original; in a thread of its own where that needs no Python."""
        evaluate, work = self._check.evaluate, self._work
        if evaluate is None:
            self._unverified = "there is no runtime to run the model on"
            return None
        if _weights(model) >= LARGE:
            original = model.clone()  # shares the weights, so that replays read none of them
            self._load = original.clone
            self._judge = functools.partial(self._by_regions, evaluate, original)
            return None
        try:
            source = self._check.samples or Plan.of(model)
        except OnnxoptError as error:
            self._unverified = str(error)
            return None
        refers = functools.partial(
            refer,
            work.load,
            evaluate=evaluate,
            tolerance=self._tolerance,
            source=source,
            seed=self._check.seed,
        )
        if work.path is not None and nodes <= SEGMENT_NODES and self._check.mode is Mode.END:
            pool = concurrent.futures.ThreadPoolExecutor(1)
            future = pool.submit(refers, model=work.path)
            pool.shutdown(wait=False)
            return future.result
        with self._noted():
            reference = refers(model=model)
            self._use(reference)
        return None

    def _settle(self, pending: Callable[[], Reference]) -> None:
        with self._noted():
            self._use(pending())

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OnnxoptError as error:
            if self._check.samples is not None:
                raise
            self._unverified = f"the original does not run: {error}"

    def _use(self, reference: Reference) -> None:
        self._judge = reference.judge
        self._described = reference.described
        self._feeds = reference.feeds

    def _adapt(self, result: ir.Model) -> None:
        """Where a pass has fixed sizes of inputs, feed the original those sizes."""
        if self._judge is None or self._check.samples is not None or self._check.evaluate is None:
            return
        original = self._load()
        if _inputs(original) == _inputs(result) or _weights(original) >= LARGE:
            return
        plan, fixed = Plan.of(original), Plan.of(result)
        known = {need.name: need for need in fixed.needs}
        merged = tuple(_fixed(need, known.get(need.name)) for need in plan.needs)
        with self._noted():
            self._use(
                refer(
                    self._load,
                    original,
                    self._check.evaluate,
                    self._tolerance,
                    Plan.for_needs(merged),
                    self._check.seed,
                )
            )

    def _attempt(self, gate: Gate) -> Attempt:
        full = gate.limit is None
        return self._judged(self._run(self._load(), gate, full=full))

    def _run(self, model: ir.Model, gate: Gate, *, full: bool) -> Attempt:
        observers: list[Observer] = [*self._work.observers()] if full else []
        observers.append(Verify())
        stages = _Stages(gate, self._measured)
        if self._check.mode is Mode.EACH and full:
            observers.append(stages)
        try:
            changes = self._work.run(model, gate, observers)
        except UsageError:
            raise
        except FAULTS as error:
            return Attempt(None, gate, _raised(error), stages.right)
        unchanged = full and not changes
        return Attempt(model, gate, None, len(gate.applied) if unchanged else stages.right)

    def _judged(self, attempt: Attempt) -> Attempt:
        """Compare numbers, unless the last pass that changed something was compared already."""
        if attempt.model is None or (
            attempt.gate.limit is None and attempt.right == len(attempt.gate.applied)
        ):
            return attempt
        mismatches = self._measured(attempt.model).mismatches
        return dataclasses.replace(attempt, wrong=_worst(mismatches)) if mismatches else attempt

    def _measured(self, model: ir.Model) -> Comparison:
        start = time.perf_counter()
        self._last = Comparison() if self._judge is None else self._judge(model)
        self._spent += time.perf_counter() - start
        return self._last

    def _by_regions(self, evaluate: Evaluate, original: ir.Model, model: ir.Model) -> Comparison:
        verdict = regions.check(original, model, evaluate, self._tolerance, self._check.seed)
        self._described = (str(verdict),)
        return verdict.comparison

    def _found(self, fault: Quarantined, before: Gate) -> None:
        if self._check.repro is not None and self._check.evaluate is not None:
            after = Gate(limit=(before.limit or 0) + 1, denied=before.denied)
            scene = Scene(
                fault,
                self._made(before),
                self._made(after),
                self._feeds,
                self._work.run,
                self._check.evaluate,
            )
            folder = write_repro(self._check.repro, scene)
            self._repros += [] if folder is None else [folder]
        if self._check.strict:
            raise VerificationError(
                f"{fault}; leave the pass out with --skip {fault.site.pass_name}"
            )

    def _made(self, gate: Gate) -> ir.Model:
        """Make the model as it is after the gate's rewrites; half done where a pass fails there."""
        model = self._load()
        with contextlib.suppress(*FAULTS):
            self._work.run(model, gate, ())
        return model

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._spent += time.perf_counter() - start


class _Stages(Observer):
    """Compares numbers after every pass that changed something."""

    def __init__(self, gate: Gate, judge: Callable[[ir.Model], Comparison]) -> None:
        self._gate = gate
        self._judge = judge
        self.right = 0

    def after(self, step: Pass, model: ir.Model, changes: int) -> None:
        """Stop at the first pass after which the outputs differ."""
        if not changes or self.right == len(self._gate.applied):
            return
        mismatches = self._judge(model).mismatches
        if mismatches:
            raise VerificationError(f"after {step.name}: {_worst(mismatches)}")
        self.right = len(self._gate.applied)


def _raised(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, OnnxoptError) else f"{type(error).__name__}: {text}"


def _worst(mismatches: Sequence[Mismatch]) -> str:
    return str(max(mismatches, key=lambda mismatch: mismatch.relative))


def _weights(model: ir.Model) -> int:
    held = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in held if tensor is not None)


def _inputs(model: ir.Model) -> list[object]:
    return [entry for entry in signature(model) if entry[0] == "input"]


def _fixed(need: Need, new: Need | None) -> Need:
    if new is None or len(new.dims) != len(need.dims):
        return need
    return dataclasses.replace(need, dims=new.dims)
