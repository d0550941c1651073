"""Carry out an export: try exporters until one writes what the framework computes."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir

from onnxopt import catalogue, graph, io, lossless
from onnxopt.base import Context
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.exporter.agreement import Agreed, Judge, Trial
from onnxopt.exporter.blame import baked
from onnxopt.exporter.examples import made_up, negated, other_sizes, recombined, resized
from onnxopt.exporter.inputs import Given, arrays, declare, fitting, of_samples
from onnxopt.exporter.mend import mend, opened
from onnxopt.exporter.notation import Axes, sizes_of
from onnxopt.exporter.report import Attempt, ExportReport
from onnxopt.exporter.source import Source, source_of
from onnxopt.framework import Declared, Framework, RefusedError, Subject
from onnxopt.pipeline import Pipeline
from onnxopt.report import Size
from onnxopt.samples import Samples
from onnxopt.spec import nearest
from onnxopt.target import Feeds

_FILES = 32
"""Files of weights that a model is left with."""
GIVEN = 4
"""Samples that an export is compared on."""

Progress = Callable[[float, str], None]


def _silent(share: float, text: str) -> None:
    del share, text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of an export."""

    inputs: Any = None
    """Example arrays, by name or in the order of the call, or declarations as text."""
    dynamic: Axes | Literal["none"] | None = None
    """Names for the axes that stay open; None leaves it to the framework's own idea of them."""
    outputs: tuple[str, ...] = ()
    exporter: str | None = None
    """The one to use; None takes the first that writes what the framework computes."""
    opset: int | None = None
    samples: Path | Samples | None = None
    """Further feeds to compare on."""
    folder: Path | None = None
    """Where there is room for the file on the way; the system's own place otherwise."""
    seed: int = 0
    progress: Progress = _silent


def run(thing: object, request: Request) -> tuple[ir.Model, ExportReport]:
    """Export a model; return it and what was done.

    Raises ModelError for what no exporter writes right, UsageError for inputs that do not fit.
    """
    started = time.perf_counter()
    source = source_of(thing)
    if source.framework is None:
        return _passed(source, request, started)
    return run_in(source.framework, source, request)


def run_in(framework: Framework, source: Source, request: Request) -> tuple[ir.Model, ExportReport]:
    """Export a model of a framework that is known; raises what ``run`` does."""
    with tempfile.TemporaryDirectory(prefix="onnxopt-", dir=request.folder) as folder:
        return _Export(framework, source, request, Path(folder)).run()


def _passed(source: Source, request: Request, started: float) -> tuple[ir.Model, ExportReport]:
    """Take what is ONNX already, raised to an operator set where one is asked for, verified."""
    for name in ("inputs", "dynamic", "exporter", "outputs"):
        asked_for = getattr(request, name)
        if asked_for is not None and not (isinstance(asked_for, tuple) and not asked_for):
            raise UsageError(
                f"{source.label}: is ONNX already, so '{name}' means nothing; to fix sizes: "
                "onnxopt optimize --shape"
            )
    model: ir.Model = source.thing
    before, notes = graph.opset(model), ["it is ONNX already, so nothing was exported or compared"]
    mended: list[str] = []
    if request.opset is not None and request.opset != before:
        _lowered(before, request.opset)
        asked = lossless.Request(
            pipeline="dce", opset=request.opset, samples=request.samples, seed=request.seed
        )
        model, report = lossless.run(model, asked)
        mended.append(f"raised from operator set {before} to {graph.opset(model)}")
        notes = [f"it is ONNX already; {report.verification.statement}"]
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    return model, ExportReport(
        source=source.label,
        framework="ONNX",
        exporter=None,
        attempts=(),
        inputs=tuple(_shown(value) for value in inputs),
        outputs=tuple(value.name or "" for value in model.graph.outputs),
        opset=graph.opset(model),
        size=Size.of(model),
        agreed=(),
        mended=tuple(mended),
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
    )


def _shown(value: ir.Value) -> str:
    dims = tuple("?" if dim is None else dim for dim in graph.dims(value) or ())
    return str(Declared(value.name or "", value.dtype or ir.DataType.UNDEFINED, dims))


class _Export:
    def __init__(
        self, framework: Framework, source: Source, request: Request, folder: Path
    ) -> None:
        self._framework, self._source, self._request = framework, source, request
        self._folder, self._started = folder, time.perf_counter()
        self._attempts: list[Attempt] = []
        self._notes: list[str] = []
        self._written_last: ir.Model | None = None
        self._operators: dict[str, dict[str, int]] = {}

    def run(self) -> tuple[ir.Model, ExportReport]:
        subject = self._framework.subject(self._source.thing, self._request.outputs)
        given, dynamic = self._given(subject)
        signature, example = declare(subject, Given.of(given), dynamic)
        subject.settle(signature)
        if example is None:
            example = made_up(subject, signature, self._request.seed)
            self._notes.append("compared on made-up inputs; pass examples or --samples of your own")
        trials = self._trials(subject, signature, example)
        model, exporter, mended, agreed = self._tried(subject, signature, trials)
        report = ExportReport(
            source=self._source.label,
            framework=self._framework.version(),
            exporter=exporter,
            attempts=tuple(self._attempts),
            inputs=tuple(map(str, signature)),
            outputs=tuple(value.name or "" for value in model.graph.outputs),
            opset=graph.opset(model),
            size=Size.of(model),
            agreed=tuple(agreed),
            mended=tuple(mended),
            notes=(*self._notes, *subject.notes),
            seconds=time.perf_counter() - self._started,
        )
        return model, report

    def _given(self, subject: Subject) -> tuple[Any, Axes | Literal["none"] | None]:
        """Return the inputs that are asked for; without any, those of the samples."""
        request = self._request
        given = request.inputs if request.inputs is not None else self._source.example
        if given is not None or request.samples is None or subject.declared() is not None:
            return given, request.dynamic
        example, axes = of_samples(request.samples)
        named = sorted({dim for each in axes.values() for dim in each.values()})
        told = f"open: {', '.join(named)}" if named else "all sizes fixed"
        if request.dynamic is None:
            self._notes.append(f"inputs as in the samples, {told}; declare them for other sizes")
        return example, axes if request.dynamic is None else request.dynamic

    def _trials(
        self, subject: Subject, signature: Sequence[Declared], example: Feeds
    ) -> list[Trial]:
        """Run the framework on the example, at other sizes and on samples."""
        self._request.progress(0.0, "running the framework's own model")
        sizes = sizes_of(signature, example)
        trials = [Trial(_label("the example", sizes), example, subject.run(example))]
        trials += self._others(subject, signature, example, sizes)
        trials += self._negated(subject, example, sizes)
        if all(each.dims and isinstance(each.dims[0], str) for each in signature):
            trials += self._recombined(subject, example)
        for at, feeds in enumerate(self._samples(signature)):
            trials.append(Trial(f"sample {at}", feeds, subject.run(feeds)))
        return trials

    def _others(
        self,
        subject: Subject,
        signature: Sequence[Declared],
        example: Feeds,
        sizes: Mapping[str, int],
    ) -> Iterator[Trial]:
        """Yield the example at other sizes of the open axes, at the first that are accepted."""
        refusal = ""
        for other in other_sizes(signature, sizes):
            feeds = resized(signature, example, other)
            try:
                expected = subject.run(feeds)
            except RefusedError as error:
                refusal = refusal or str(error)
                continue
            fixed = [name for name in other if other[name] == sizes[name]]
            if fixed:
                self._notes.append(
                    f"the framework refuses other sizes of {', '.join(fixed)}, so nothing says "
                    f"whether the export takes them ({refusal})"
                )
            yield Trial(_label("other sizes", other), feeds, expected)
            return
        if refusal:
            self._notes.append(f"not compared at a second size: {refusal}")

    def _negated(
        self, subject: Subject, example: Feeds, sizes: Mapping[str, int]
    ) -> Iterator[Trial]:
        """Yield the example with other numbers, for a trace keeps one side of each branch."""
        feeds = negated(example)
        if feeds is not None:
            with contextlib.suppress(RefusedError):
                expected = subject.run(feeds)
                yield Trial(_label("the example with its signs changed", sizes), feeds, expected)

    def _recombined(self, subject: Subject, example: Feeds) -> Iterator[Trial]:
        """Yield many rows made of the example's: few rows may all lie where nothing is close."""
        feeds = recombined(example, subject.rows, self._request.seed) if subject.rows else None
        if feeds is not None:
            with contextlib.suppress(RefusedError):
                expected = subject.run(feeds)
                yield Trial(f"{subject.rows:,} rows made of the example's", feeds, expected)

    def _samples(self, signature: Sequence[Declared]) -> Iterator[Feeds]:
        given = self._request.samples
        if given is None:
            return
        inputs = [
            ir.Value(name=d.name, type=ir.TensorType(d.dtype), shape=ir.Shape(list(d.dims)))
            for d in signature
        ]
        stream = Samples.from_path(given, inputs) if isinstance(given, Path) else given
        for feeds in stream.first(GIVEN):
            yield fitting(signature, arrays(feeds))

    def _tried(
        self, subject: Subject, signature: Sequence[Declared], trials: Sequence[Trial]
    ) -> tuple[ir.Model, str, list[str], list[Agreed]]:
        """Return the first export that computes what the framework does."""
        exporters = self._exporters(subject)
        for at, exporter in enumerate(exporters):
            self._request.progress(at / len(exporters), f"exporting by {exporter}")
            began = time.perf_counter()
            try:
                model, mended = self._written(subject, exporter, signature, trials)
                self._written_last = model
                self._request.progress((at + 0.5) / len(exporters), "comparing with the framework")
                agreed = list(Judge(model).verdicts(trials))
            except (BackendError, ModelError) as error:
                seconds = time.perf_counter() - began
                self._attempts.append(
                    Attempt(exporter=exporter, seconds=seconds, refused=str(error))
                )
                continue
            seconds = time.perf_counter() - began
            self._attempts.append(Attempt(exporter=exporter, seconds=seconds))
            self._notes += self._at_fault(exporter)
            return model, exporter, mended, agreed
        raise RefusedError(self._failure(subject, signature, trials))

    def _at_fault(self, taken: str) -> list[str]:
        """Name what the optimizer of an exporter did where the same export without it is right."""
        whole = taken.partition("-")[0]
        if whole == taken or whole not in self._operators:
            return []
        before, after = self._operators[taken], self._operators[whole]
        fewer = [(n, after.get(n, 0)) for n in before if after.get(n, 0) < before[n]]
        done = ", ".join(f"{n} {before[n]} -> {left}" for n, left in fewer[:4])
        return [f"{whole} was refused for what the exporter's own optimizer makes of it: {done}"]

    def _exporters(self, subject: Subject) -> Sequence[str]:
        asked = self._request.exporter
        if asked is None:
            return subject.exporters
        if asked not in subject.exporters:
            known = ", ".join(subject.exporters)
            raise UsageError(
                f"no exporter '{asked}' for this model{nearest(asked, subject.exporters)}; "
                f"there are {known}"
            )
        return (asked,)

    def _written(
        self,
        subject: Subject,
        exporter: str,
        signature: Sequence[Declared],
        trials: Sequence[Trial],
    ) -> tuple[ir.Model, list[str]]:
        """Write, load and mend a model.

        An axis that stays open is traced at a size of 2 or more: exporters take 1 for a constant.
        """
        first = trials[0]
        for trial in trials[:2]:
            if 1 not in sizes_of(signature, trial.feeds).values():
                first = trial
                break
        path = self._folder / f"{exporter}.onnx"
        subject.write(exporter, signature, first.feeds, path, self._request.opset)
        model = io.load(path)
        told = mend(model, signature, list(first.expected))
        told += _raised(model, self._request.opset)
        told += opened(model, signature, [(trial.feeds, trial.expected) for trial in trials])
        self._operators[exporter] = Size.of(model).operators
        return self._joined(model, exporter), told

    def _joined(self, model: ir.Model, exporter: str) -> ir.Model:
        """Put weights that lie in many files into one, which can be held open once it is gone."""
        tensors = (weight for _, weight in graph.weights(model))
        files = {str(each.path) for each in tensors if isinstance(each, ir.ExternalTensor)}
        if len(files) <= _FILES:
            return model
        path = self._folder / f"{exporter}_joined.onnx"
        io.save(model, path, external_data=True)
        return io.load(path)

    def _failure(
        self, subject: Subject, signature: Sequence[Declared], trials: Sequence[Trial]
    ) -> str:
        """Say why every exporter was refused, and which axis cannot stay open."""
        reasons = "; ".join(f"{a.exporter}: {a.refused}" for a in self._attempts)
        hint = ""
        if self._written_last is not None:
            axes = baked(self._written_last, subject, signature, [trial.feeds for trial in trials])
            if axes:
                hint = (
                    f"; the size of {' and '.join(axes)} is baked in: declare it as a number, or "
                    "mend the model's code"
                )
        what = "no exporter writes what the framework computes"
        return f"{self._source.label}: {what}: {reasons}{hint}"


def _lowered(found: int, opset: int) -> None:
    if found > opset:
        raise RefusedError(
            f"it is written at operator set {found}, not {opset}, and cannot be lowered"
        )


def _raised(model: ir.Model, opset: int | None) -> list[str]:
    """Bring a model to the operator set that is asked for; raises RefusedError for an older one."""
    found = graph.opset(model)
    if opset is None or found == opset:
        return []
    _lowered(found, opset)
    target = catalogue.find_backend("cpu").target()
    Pipeline.parse(f"inline, raise-opset{{to={opset}}}").run(model, Context(target=target))
    if graph.opset(model) != opset:
        raise RefusedError(f"it cannot be raised from operator set {found} to {opset}")
    return [f"raised from operator set {found} to {opset}"]


def _label(what: str, sizes: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name}={size}" for name, size in sizes.items())
    return f"{what} ({shown})" if shown else what
