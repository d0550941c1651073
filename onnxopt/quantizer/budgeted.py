"""A scheme within a budget on a metric: layers go back to float until it holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import onnx_ir as ir

from onnxopt.comparison.metrics import Kind
from onnxopt.quantizer.attempt import Attempt, Outcome, Ready, sensitivity
from onnxopt.quantizer.guard import decibels, expected_db
from onnxopt.quantizer.judge import Judge
from onnxopt.quantizer.memory import Memory, digest
from onnxopt.quantizer.mixed import Timing
from onnxopt.quantizer.patterns import literal
from onnxopt.quantizer.report import RUINED, Tried
from onnxopt.quantizer.search import TRIALS, Search


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budgeted:
    """An attempt whose outputs a judge holds to a budget, in the place of the guard."""

    attempt: Attempt
    judge: Judge
    state: Path | None
    """A file to go on from."""
    keep: Callable[[ir.Model], object]
    """Takes every model that is within the budget and has more layers on integers than the last."""
    keys: tuple[str, ...] = ()
    """What scores depend on beside the model and the scheme: target and samples."""

    def run(self) -> tuple[Outcome | None, Tried]:
        """Search for what keeps the metric within its budget; Ctrl-C takes the best so far."""
        name = self.attempt.scheme.name
        ready = self.attempt.best()
        if ready is None:
            return None, Tried(scheme=name, refused=self.attempt.nothing)
        steps = str(self.attempt.steps())
        asked = (name, ready.once, steps, self.judge.metric.name, *self.keys)
        memory = Memory.at(self.state, digest(ready.model, *asked))
        timing, interrupted = None, False
        try:
            timing = (
                None if self.attempt.time is None else self.attempt.time(ready.model, ready.built)
            )
            self._search(ready, memory, timing)
        except KeyboardInterrupt:
            interrupted = True
        outcome, tried = self._found(ready, memory)
        tried.interrupted = interrupted
        tried.sensitivity = sensitivity(ready.built, memory.noise, timing)
        return outcome, tried

    def _found(self, ready: Ready, memory: Memory) -> tuple[Outcome | None, Tried]:
        """Return the best that the memory holds."""
        judge, name = self.judge, self.attempt.scheme.name
        out = memory.best(judge.most)
        skip = tuple(map(literal, out or ()))
        built = self.attempt.build(ready.model, skip=skip)
        if out is None or not built.layers:
            refused = f"no choice of layers keeps {judge.metric.name} within {judge.most:g}"
            return None, Tried(scheme=name, refused=refused)
        least = expected_db(len(built.layers), self.attempt.scheme.bits)
        tried = self.attempt.judged(built, self.attempt.loss(built), least)
        tried.metric, tried.drop, tried.refused = judge.metric.name, memory.drop(out), None
        tried.share, whole = judge.metric.kind is Kind.SHARE, memory.drop([])
        tried.whole_drop = whole if out else None
        gone = [name for name in ready.built.layers if name not in built.layers]
        tried.in_float = {name: decibels(memory.noise.get(name, 0.0)) for name in gone}
        return Outcome(built=built, once=ready.once, skip=skip), tried

    def _search(self, ready: Ready, memory: Memory, timing: Timing | None) -> None:
        """Find out how far the metric falls for some choices of layers, the whole first."""

        def score(out: list[str]) -> float:
            self.attempt.context.progress("scoring", len(memory.drops), TRIALS + 1)
            return self._score(ready, out, memory)

        if memory.drop([]) is None:
            memory.dropped([], score([]))
        beyond = (memory.drop([]) or 0.0) > self.judge.most
        if beyond or self.attempt.sensitive:
            noise = self.attempt.alone(ready.model, ready.built.layers, memory)
        if beyond:
            Search(noise, ready.loss.noise, timing, self.judge.most, memory).run(score)

    def _score(self, ready: Ready, out: list[str], memory: Memory) -> float:
        """Return the drop of a choice; keep what it leaves where that is the best so far."""
        built = self.attempt.build(ready.model, skip=tuple(map(literal, out)))
        if not built.layers:
            return 0.0
        change = self.judge.change(built.model)
        if change is None:
            return RUINED
        best = memory.best(self.judge.most)
        if change.drop <= self.judge.most and (best is None or len(out) < len(best)):
            self.keep(built.model)
        return float(change.drop)
