"""The public functions."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from onnxopt import inspection
from onnxopt.comparison import run as comparison
from onnxopt.comparison.report import CompareReport, Limits
from onnxopt.diagnosis import Diagnosis, diagnose
from onnxopt.difference import Difference, difference
from onnxopt.inspection import Inspection
from onnxopt.io import load, save
from onnxopt.lossless import Request, run
from onnxopt.lossy import prune, prune_with_report, quantize, quantize_with_report
from onnxopt.measure import BenchReport, Effort
from onnxopt.measure.models import Matrix
from onnxopt.measure.request import Request as BenchRequest
from onnxopt.pipeline import Pipeline
from onnxopt.profiling.models import profile_files
from onnxopt.profiling.record import Effort as ProfileEffort
from onnxopt.profiling.report import ProfileReport
from onnxopt.report import Report
from onnxopt.samples import Given, samples_of
from onnxopt.source import Source, source_of

__all__ = [
    "bench",
    "compare",
    "diff",
    "doctor",
    "inspect",
    "load",
    "optimize",
    "optimize_with_report",
    "profile",
    "prune",
    "prune_with_report",
    "quantize",
    "quantize_with_report",
    "save",
]


def optimize(
    model: Source,
    *,
    target: str = "cpu",
    pipeline: str | Pipeline | None = None,
    skip: Sequence[str] = (),
    shapes: Sequence[str] = (),
    opset: int | None = None,
    samples: Given = None,
    verify: Literal["each", "end", "off"] = "end",
    strict: bool = False,
    seed: int = 0,
) -> ir.Model:
    """Rewrite a model losslessly and return the result, verified; the model given stays as it is.

    ``pipeline`` is text such as ``fold-constants, repeat(fuse, dce)``; None means the target's
    default. ``skip`` names passes to leave out, ``shapes`` fixes inputs' dimensions, each given as
    ``x=1,3,224,224``, ``opset`` raises the operator set first. ``samples`` are what to verify on:
    a folder or file, or a stream; made up where there are none.

    Raises UsageError for unknown names, ModelError for a model that cannot be read, BackendError
    where the target cannot be used here, VerificationError for a wrong rewrite when ``strict``.
    """
    return optimize_with_report(
        model,
        target=target,
        pipeline=pipeline,
        skip=skip,
        shapes=shapes,
        opset=opset,
        samples=samples,
        verify=verify,
        strict=strict,
        seed=seed,
    )[0]


def optimize_with_report(
    model: Source,
    *,
    target: str = "cpu",
    pipeline: str | Pipeline | None = None,
    skip: Sequence[str] = (),
    shapes: Sequence[str] = (),
    opset: int | None = None,
    samples: Given = None,
    verify: Literal["each", "end", "off"] = "end",
    strict: bool = False,
    seed: int = 0,
) -> tuple[ir.Model, Report]:
    """Do what ``optimize`` does and return the report too: what changed, how it was verified."""
    request = Request(
        target=target,
        pipeline=pipeline,
        skip=(skip,) if isinstance(skip, str) else tuple(skip),
        shapes=(shapes,) if isinstance(shapes, str) else tuple(shapes),
        opset=opset,
        samples=samples_of(samples),
        verify=verify,
        strict=strict,
        seed=seed,
    )
    return run(source_of(model), request)


def bench(
    *models: Source,
    samples: Path | str | None = None,
    provider: str | Sequence[str] = "cpu",
    threads: int | Sequence[int] = 0,
    batch: int | Sequence[int] = (),
    shapes: Sequence[str] = (),
    streams: int | Sequence[int] = 1,
    precision: float = 0.01,
    budget: float = 14.0,
    against: Path | str | None = None,
    force: bool = False,
    seed: int = 0,
) -> BenchReport:
    """Measure latency, all models against the first, each in processes of its own.

    It ends when every ratio is known to within ``precision``, or after ``budget`` seconds; five
    processes a model are started in any case. ``provider`` is a target with its options,
    ``cpu{spinning=false}``. Several providers, numbers of ``threads``, sizes of ``batch``, sets of
    ``shapes``, each given as ``x=1,3,224,224``, or numbers of ``streams`` (callers that use one
    session at a time, for throughput) are measured in every combination; one model alone is
    compared with itself on the first provider and number of threads. ``against`` is a run that was
    kept. Feeds are made up
    where no ``samples`` are given. Print the report to read it. A model that cannot be read, or
    takes other inputs than the first, is told in its row.

    Raises ModelError where that leaves nothing to measure or to compare, or the feeds do not fit
    the first, BackendError where no target can be used here, UsageError for options that a target
    does not have and for a batch or shapes that the model does not leave open.
    """
    with contextlib.ExitStack() as stack:
        request = BenchRequest(
            models=tuple(_file(model, at, stack) for at, model in enumerate(models)),
            matrix=Matrix(
                providers=(provider,) if isinstance(provider, str) else tuple(provider),
                threads=(threads,) if isinstance(threads, int) else tuple(threads),
                batches=(batch,) if isinstance(batch, int) else tuple(batch),
                shapes=(shapes,) if isinstance(shapes, str) else tuple(shapes),
                streams=(streams,) if isinstance(streams, int) else tuple(streams),
            ),
            samples=None if samples is None else Path(samples),
            effort=Effort(budget_s=budget, precision=precision),
            against=None if against is None else Path(against),
            force=force,
            seed=seed,
        )
        return request.run()


def compare(
    first: Source,
    second: Source,
    *,
    samples: Given = None,
    held_back: bool = False,
    provider: str = "cpu",
    against_provider: str | None = None,
    optimization: Literal["off", "all"] = "off",
    layers: bool = False,
    metrics: Sequence[str] = (),
    output: str | None = None,
    tolerance: float | None = None,
    min_sqnr: float | None = None,
    max_drop: float | None = None,
    seed: int = 0,
) -> CompareReport:
    """Compare the numbers of two models over a stream of samples, in memory that does not grow.

    The first runs as it is written, the second with the runtime's optimizer as ``optimization``
    says, on ``against_provider`` where that is given. ``layers`` also says where inside they part.
    ``metrics`` are ``top1``, ``top5``, ``agreement``, ``perplexity`` or ``module:function``;
    without any, those that suit the samples' labels. ``held_back`` takes of the samples those alone
    that quantizing does not calibrate on. The report's ``within`` says whether they agree: up to
    rounding, or as far as ``tolerance`` (a share of an element's scale), ``min_sqnr`` (dB) and
    ``max_drop`` (of the first metric) ask for. Print the report to read it.

    Raises ModelError for models that cannot be read or whose inputs no data fits, BackendError
    where a target cannot be used here, UsageError for unknown metrics and options.
    """
    return comparison.compare(
        comparison.Request(
            first=source_of(first),
            second=source_of(second),
            samples=samples_of(samples),
            held_back=held_back,
            provider=provider,
            against_provider=against_provider,
            optimization=optimization,
            layers=layers,
            metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
            output=output,
            limits=Limits(tolerance=tolerance, min_sqnr=min_sqnr, max_drop=max_drop),
            seed=seed,
        )
    )


def diff(first: Source, second: Source) -> Difference:
    """Compare two graphs: what was removed, added and changed. Print the difference to read it.

    Nodes are matched through renames. Names of values, the order of nodes and the way constants are
    stored are no differences. Raises ModelError for a model that cannot be read.
    """
    one, other = source_of(first), source_of(second)
    names = _name(one, "first"), _name(other, "second")
    return difference(_loaded(one), _loaded(other), names)


def _loaded(source: ir.Model | Path) -> ir.Model:
    return load(source) if isinstance(source, Path) else source


def _name(source: ir.Model | Path, otherwise: str) -> str:
    return str(source) if isinstance(source, Path) else source.graph.name or otherwise


def inspect(model: Source, *, shapes: Sequence[str] = ()) -> Inspection:
    """Say what a model is, stores, computes and moves; it is not run and stays as it is.

    ``shapes`` are texts such as ``x=1,3,224,224``; extents that they leave open get the sizes that
    feeds are made up with, which the result names.

    Raises UsageError for shapes that do not fit the model, ModelError for a model that cannot be
    read.
    """
    held = _loaded(source_of(model))
    return inspection.inspect(held, shapes=(shapes,) if isinstance(shapes, str) else shapes)


def doctor() -> Diagnosis:
    """Find out what is wrong with this installation or this machine; takes some seconds.

    Each of ``findings`` has a severity, what is so, what it means, and as its remedy a command
    where there is one. ``problem`` says whether something keeps models from running. Print it to
    read it.
    """
    return diagnose()


def profile(
    model: Source,
    after: Source | None = None,
    *,
    samples: Path | str | None = None,
    provider: str = "cpu",
    threads: int = 0,
    batch: int | None = None,
    shapes: Sequence[str] = (),
    runs: int | None = None,
    budget: float = 10.0,
    peaks: bool = True,
    seed: int = 0,
) -> ProfileReport:
    """Show where the time of a model goes, by operator and by node; of two, side by side.

    Every model runs in processes of its own, with the runtime's profiler and without it, block by
    block; times are in seconds a run, and what recording adds to them is measured and taken off.
    Without ``samples`` feeds are made up, of ``batch`` rows and ``shapes`` such as ``ids=1,128``;
    the report says what they are. ``budget`` is in seconds a model, ``runs`` are the recorded ones
    of each process. ``peaks``
    measures what the machine reaches, so that the report can say what could be gained. Print the
    report to read it; ``report.save_html`` makes a page of it. A model that fails is told in its
    part.

    Raises ModelError for a file that is no model, for feeds that do not fit and where the second
    model takes other inputs, BackendError where the target cannot be used here or does not record,
    UsageError for options that it does not have.
    """
    models = [model] if after is None else [model, after]
    with contextlib.ExitStack() as stack:
        return profile_files(
            [_file(each, number, stack) for number, each in enumerate(models)],
            provider=provider,
            threads=threads,
            batch=batch,
            shapes=(shapes,) if isinstance(shapes, str) else shapes,
            samples=None if samples is None else Path(samples),
            effort=ProfileEffort(budget_s=budget, runs=runs, peaks=peaks),
            seed=seed,
        )


def _file(model: Source, number: int, stack: contextlib.ExitStack) -> Path:
    """Return the file of a model; one in memory is written to a folder of its own."""
    source = source_of(model)
    if isinstance(source, Path):
        return source
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="onnxopt-"))
    path = Path(folder) / f"model_{number + 1}.onnx"
    save(source, path)
    return path
