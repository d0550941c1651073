"""Run the lossless pipeline of a target on a model, verified."""

from __future__ import annotations

import collections
import dataclasses
import gc
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import onnx_ir as ir

from onnxopt import catalogue, graph, io
from onnxopt.base import Context, Gate, Observer
from onnxopt.errors import UsageError
from onnxopt.evaluate import Evaluator, evaluator
from onnxopt.io.hush import prompt, uncollected
from onnxopt.pipeline import Pipeline
from onnxopt.quantization import ranges
from onnxopt.report import Recorder, Report, Size, Verification
from onnxopt.samples import Samples
from onnxopt.spec import write_value
from onnxopt.verify import Check, Mode, Outcome, Work, run_verified
from onnxopt.verify.reference import SAMPLED
from onnxopt.verify.repro import Repro

if TYPE_CHECKING:
    from onnxopt.contents import Contents

REFERENCE = (
    "cpu{optimization=off, prepacking=false, arena=false, mem-pattern=false, spinning=false, "
    "threads=2}"
)
"""What computes models as they are written, to verify and to fold."""

STREAM = "cpu{spinning=false, mem-pattern=false}"
"""What runs models over many samples, for passes that look at what they compute.

A plan of memory for all activations would keep a second copy of those that are outputs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of an optimization."""

    target: str = "cpu"
    pipeline: str | Pipeline | None = None
    """The passes; None means the target's default."""
    skip: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    """Dimensions of inputs to fix first, as ``x=1,3,224,224``."""
    opset: int | None = None
    """The version to raise the default operator set to first."""
    samples: Path | Samples | None = None
    verify: Literal["each", "end", "off"] = "end"
    strict: bool = False
    """Raise VerificationError at a wrong rewrite instead of going on without it."""
    seed: int = 0
    repro: Path | None = None
    """The folder that takes the smallest failing model, should there be one."""
    observers: tuple[Observer, ...] = ()
    option: str = "--skip"
    """What notes call the option by which a command leaves passes out; nothing where it has none.
    """

    def steps(self) -> Pipeline:
        """Return the whole pipeline that is asked for.

        Functions are inlined before the operator set is raised, for theirs stays as it is.
        """
        chosen = self.pipeline
        if not isinstance(chosen, Pipeline):
            default = catalogue.find_backend(self.target).target().pipeline
            chosen = Pipeline.parse(default if chosen is None else chosen)
        first = []
        if self.shapes:
            first.append(f"fix-shapes{{shapes={write_value(self.shapes)}}}")
        if self.opset is not None:
            first.append(f"inline, raise-opset{{to={self.opset}}}")
        steps = Pipeline.parse(", ".join(first)).steps
        return Pipeline((*steps, *chosen.steps)).without(self.skip)


def run(source: ir.Model | Path, request: Request) -> tuple[ir.Model, Report]:
    """Optimize a model, or the file of one; return the result and what happened.

    A model in memory is left as it is. Raises UsageError for an unknown pass or target, ModelError
    for a model that cannot be read, BackendError where the target cannot be used here, and
    VerificationError for a wrong rewrite where ``strict`` asks for it.
    """
    with uncollected(), prompt():
        return _Optimization(source, request).run()


def reference() -> Evaluator:
    """Return what computes models exactly as they are written."""
    backend = catalogue.backend(REFERENCE)
    backend.unavailable()  # imports the runtime: two threads that do so at once can deadlock
    return evaluator(backend)


def raised(before: int, model: ir.Model, option: str) -> str:
    """Note that the operator set was raised, what for, and by which ``option`` it is not."""
    import onnx

    way = f"; for older runtimes: {option} raise-opset {option} attention" if option else ""
    used = {node.op_type for home in graph.graphs(model) for node in home if not node.domain}
    newer = sorted(name for name in used if not onnx.defs.has(name, before, ""))
    gain = f"for {', '.join(newer)}" if newer else "by which this model gains no operator"
    return f"the operator set was raised from {before} to {graph.opset(model)}, {gain}{way}"


class _Optimization:
    """One request being carried out."""

    def __init__(self, source: ir.Model | Path, request: Request) -> None:
        self.source = source
        self.request = request
        self.pipeline = request.steps()
        if self.pipeline.lossy and request.verify != "off":
            raise UsageError(
                f"{self.pipeline.lossy[0]} changes what the model computes, so verifying would "
                "only undo it: --verify off, then score the result (onnxopt compare)"
            )
        self.target = catalogue.find_backend(request.target).target()
        self.evaluate = reference()
        self.recorder = Recorder()
        self.before: Size | None = None
        self.contents: Contents | None = None
        self.opset = 0
        self.defaults = 0
        self.samples = self._samples()

    def run(self) -> tuple[ir.Model, Report]:
        started = time.perf_counter()
        path = self.source if isinstance(self.source, Path) else None
        work = Work(load=self._load, run=self._rewrite, observers=self._observers, path=path)
        outcome = run_verified(work, self._check())
        contents = None if self.contents is None else (self.contents, _contents(outcome.model))
        report = Report(
            pipeline=str(self.pipeline),
            target=self.request.target,
            before=self.before or Size.of(outcome.model),
            after=Size.of(outcome.model),
            passes=list(self.recorder.records.values()),
            seconds=time.perf_counter() - started,
            verification=_verification(outcome, self.request.verify),
            contents=contents,
            notes=[*self._changed(outcome.model), *_notes(outcome.model), *_idle(contents)],
        )
        return outcome.model, report

    def _load(self) -> ir.Model:
        if self.before is not None:
            gc.collect()  # a replay: what the run before it left behind
        model = io.load(self.source) if isinstance(self.source, Path) else self.source.clone()
        if self.before is None:
            self.before = Size.of(model)
            self.opset = graph.opset(model)
            self.defaults = _defaults(model)
            self.contents = _contents(model) if self.pipeline.prunes else None
        return model

    def _changed(self, model: ir.Model) -> Iterator[str]:
        """Yield what the file asks for and how it may be fed, where that is another than before."""
        now, fixed = graph.opset(model), self.defaults - _defaults(model)
        if now > self.opset and self.request.opset is None:
            yield raised(self.opset, model, self.request.option)
        if fixed > 0:
            way = f"; to leave them to callers: {self.request.option} freeze-initializers"
            yield f"{fixed} weights were inputs too: they are fixed now{way}"

    def _rewrite(self, model: ir.Model, gate: Gate, observers: Sequence[Observer]) -> int:
        context = Context(
            target=self.target,
            evaluate=self.evaluate,
            load=catalogue.backend(STREAM).open,
            samples=self.samples,
            seed=self.request.seed,
            gate=gate,
        )
        return _prepared(self.pipeline, model).run(model, context, observers)

    def _observers(self) -> Sequence[Observer]:
        self.recorder = Recorder()
        return (self.recorder, *self.request.observers)

    def _samples(self) -> Samples | None:
        given = self.request.samples
        if not isinstance(given, Path):
            return given
        inputs = [value for value in self._load().graph.inputs if not value.is_initializer()]
        return Samples.from_path(given, inputs)

    def _check(self) -> Check:
        folder = self.request.repro
        return Check(
            mode=Mode(self.request.verify),
            evaluate=self.evaluate,
            samples=self.samples,
            seed=self.request.seed,
            strict=self.request.strict,
            repro=None if folder is None else Repro(folder=folder, pipeline=str(self.pipeline)),
        )


def _contents(model: ir.Model) -> Contents:
    from onnxopt.contents import Contents  # reads all weights; lossless passes need none of it

    return Contents.of(model)


def _idle(contents: tuple[Contents, Contents] | None) -> list[str]:
    """Say so where zeros are all that was gained: they make no model faster here."""
    if contents is None or contents[1].zeros <= contents[0].zeros:
        return []
    if contents[1].macs < contents[0].macs:
        return []
    return [
        "zeros make the compressed file smaller and nothing faster: tensors and multiply-adds are "
        "what they were; 'onnxopt prune' removes whole channels"
    ]


def _prepared(pipeline: Pipeline, model: ir.Model) -> Pipeline:
    """Freeze the initializers of an old file first, whose format has no others than inputs."""
    if model.ir_version >= graph.DEFAULTS_SINCE:
        return pipeline
    return Pipeline((*Pipeline.parse("freeze-initializers").steps, *pipeline.steps))


def _verification(outcome: Outcome, mode: str) -> Verification:
    if outcome.gave_up is not None:
        statement = f"handed back unchanged: {outcome.gave_up}"
    elif outcome.unverified is not None:
        statement = f"numbers not compared: {outcome.unverified}"
    elif not outcome.gate.applied or not outcome.checked:
        statement = "nothing was changed, so there was nothing to compare"
    else:
        found = outcome.comparison
        kinds = collections.Counter(outcome.checked)
        on = "; ".join(_counted(n, kind) for kind, n in kinds.items())
        how = f"within {found.relative:.1e} of their scale" if found.relative else "to the bit"
        statement = f"outputs equal {how}, where {outcome.tolerance} are allowed; on {on}"
    return Verification(
        mode=mode,
        unverified=statement if outcome.unverified is not None else None,
        statement=statement,
        quarantined=[str(fault) for fault in outcome.quarantined],
        excused=list(outcome.comparison.excused),
        reproduction=[str(path) for path in outcome.repros],
        seconds=outcome.seconds,
    )


def _counted(count: int, kind: str) -> str:
    if kind == SAMPLED:
        return f"{count} {kind}{'s' if count > 1 else ''}"
    return f"{count} sets of {kind}" if count > 1 else kind


def _defaults(model: ir.Model) -> int:
    """Return how many weights of the current file format callers may override."""
    if model.ir_version < graph.DEFAULTS_SINCE:
        return 0
    return sum(value.is_initializer() for value in model.graph.inputs)


def _notes(model: ir.Model) -> list[str]:
    """Say what the user may want to know of the result."""
    notes = []
    defaults = _defaults(model)
    if defaults:
        notes.append(
            f"{defaults} weights are inputs too, which callers may override, so nothing can be "
            "computed from them beforehand; if nobody overrides them, run the pipeline "
            "'freeze-initializers{overridable=true}' first"
        )
    stops: list[str] = model.meta.get("onnxopt.stops", [])
    if stops:
        more = f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""
        notes.append(f"shapes are not known behind {stops[0]}{more}")
    return [*notes, *ranges.without(model)]
