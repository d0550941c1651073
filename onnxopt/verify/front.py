"""The whole of verification round a pipeline: run, compare, search, leave out, say so."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx_ir as ir

from onnxopt.base import Evaluate, Gate, Observer, Pass
from onnxopt.errors import OnnxoptError, SampleError, UsageError, VerificationError
from onnxopt.samples import Samples
from onnxopt.verify.bisect import FAULTS, Attempt, Hunt, Quarantined, hunt
from onnxopt.verify.numbers import Comparison, Mismatch
from onnxopt.verify.original import Original
from onnxopt.verify.repro import Repro, Scene, write_repro
from onnxopt.verify.structure import Verify, checked


class Mode(enum.Enum):
    """When numbers are compared."""

    EACH = "each"
    """After every pass that changed something; onnx.checker is asked at the end."""
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
        self._original = Original(work.load, check.evaluate, check.samples, check.seed)
        self._spent = 0.0
        self._last = Comparison()
        self._repros: list[Path] = []
        self._valid: bool | None = None

    def outcome(self) -> Outcome:
        started = time.perf_counter()
        model = self._work.load()
        if self._check.mode is Mode.OFF:
            gate = Gate()
            self._work.run(model, gate, self._work.observers())
            why = "verification is switched off"
            return Outcome(model=model, gate=gate, comparison=Comparison(), unverified=why)
        with self._timed():
            path = self._work.path if self._check.mode is Mode.END else None
            self._original.start(model, path)
        first = self._judged(self._run(model, Gate(), full=True))
        if first.wrong is None:
            return self._concluded(Hunt(first), self._spent)
        return self._concluded(
            hunt(self._attempt, first, self._found), time.perf_counter() - started
        )

    def _concluded(self, result: Hunt, seconds: float) -> Outcome:
        model, gate = result.last.model, result.last.gate
        if result.gave_up is not None or model is None:
            if self._check.strict:
                raise VerificationError(result.gave_up or "the pipeline failed")
            model, gate, self._last = self._original.load(), Gate(limit=0), Comparison()
        return Outcome(
            model=model,
            gate=gate,
            quarantined=result.quarantined,
            comparison=self._last,
            tolerance=str(self._original.tolerance),
            checked=self._original.described,
            unverified=self._original.unverified,
            gave_up=result.gave_up,
            repros=tuple(self._repros),
            seconds=seconds,
        )

    def _attempt(self, gate: Gate) -> Attempt:
        return self._judged(self._run(self._original.load(), gate, full=gate.limit is None))

    def _run(self, model: ir.Model, gate: Gate, *, full: bool) -> Attempt:
        observers: list[Observer] = [*self._work.observers()] if full else []
        observers.append(Verify())
        stages = _Stages(gate, self._measured)
        if self._check.mode is Mode.EACH and full:
            observers.append(stages)
        try:
            changes = self._work.run(model, gate, observers)
        except (UsageError, SampleError):
            raise
        except FAULTS as error:
            return Attempt(None, gate, _raised(error), stages.right)
        unchanged = full and not changes
        return Attempt(model, gate, None, len(gate.applied) if unchanged else stages.right)

    def _judged(self, attempt: Attempt) -> Attempt:
        """Compare numbers, unless the last pass that changed something was compared already.

        Mode ``each`` also asks onnx.checker, unless the original does not please it either.
        """
        if attempt.model is None:
            return attempt
        if self._check.mode is Mode.EACH and (refused := checked(attempt.model)) is not None:
            if self._valid is None:
                self._valid = checked(self._original.load()) is None
            if self._valid:
                return dataclasses.replace(attempt, wrong=f"onnx.checker: {refused}", right=0)
        if attempt.gate.limit is None and attempt.right == len(attempt.gate.applied):
            return attempt
        mismatches = self._measured(attempt.model).mismatches
        return dataclasses.replace(attempt, wrong=_worst(mismatches)) if mismatches else attempt

    def _measured(self, model: ir.Model) -> Comparison:
        with self._timed():
            self._last = self._original.judge(model)
        return self._last

    def _found(self, fault: Quarantined, before: Gate) -> None:
        evaluate = self._check.evaluate
        if self._check.repro is not None and evaluate is not None:
            after = Gate(limit=(before.limit or 0) + 1, denied=before.denied)
            models = self._made(before), self._made(after)
            scene = Scene(fault, *models, self._original.feeds, self._work.run, evaluate)
            folder = write_repro(self._check.repro, scene)
            self._repros += [] if folder is None else [folder]
        if self._check.strict:
            raise VerificationError(
                f"{fault}; leave the pass out with --skip {fault.site.pass_name}"
            )

    def _made(self, gate: Gate) -> ir.Model:
        """Make the model as it is after the gate's rewrites; half done where a pass fails there."""
        model = self._original.load()
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
