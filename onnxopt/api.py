"""The public functions."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import onnx
import onnx_ir as ir

from onnxopt import measure
from onnxopt.difference import Difference, difference
from onnxopt.errors import UsageError
from onnxopt.io import from_proto, load, save
from onnxopt.lossless import Request, run
from onnxopt.measure import BenchReport, Effort
from onnxopt.measure.models import feeds_of, variants_of
from onnxopt.pipeline import Pipeline
from onnxopt.report import Report
from onnxopt.samples import Samples

__all__ = ["bench", "diff", "load", "optimize", "optimize_with_report", "save"]

Source = ir.Model | onnx.ModelProto | Path | str


def optimize(
    model: Source,
    *,
    target: str = "cpu",
    pipeline: str | Pipeline | None = None,
    skip: Sequence[str] = (),
    shapes: Sequence[str] = (),
    opset: int | None = None,
    samples: Path | str | Samples | None = None,
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
    samples: Path | str | Samples | None = None,
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
        samples=Path(samples) if isinstance(samples, str) else samples,
        verify=verify,
        strict=strict,
        seed=seed,
    )
    return run(_source(model), request)


def _source(model: Source) -> ir.Model | Path:
    if isinstance(model, onnx.ModelProto):
        return from_proto(model)
    if not isinstance(model, ir.Model | Path | str):
        raise UsageError(f"a model is a path, an onnx.ModelProto or an ir.Model, not {model!r:.60}")
    return Path(model) if isinstance(model, str) else model


def bench(
    *models: Source,
    samples: Path | str | None = None,
    provider: str = "cpu",
    threads: int = 0,
    budget: float = 14.0,
    seed: int = 0,
) -> BenchReport:
    """Measure latency, all models against the first, each in processes of its own.

    ``budget`` is in seconds; three processes a model are started in any case. ``provider`` is a
    target with its options, ``cpu{spinning=false}``. Feeds are made up where no ``samples`` are
    given. Print the report to read it. A model that cannot be read, or takes other inputs than the
    first, is told in its row.

    Raises ModelError where that leaves nothing to measure or to compare, or the feeds do not fit
    the first, BackendError where the target cannot be used here, UsageError for options that it
    does not have and for more threads than CPUs.
    """
    with contextlib.ExitStack() as stack:
        paths = [_file(model, number, stack) for number, model in enumerate(models)]
        variants = variants_of(paths, provider, threads)
        feeds = None if samples is None else feeds_of(Path(samples), paths[0])
        return measure.bench(variants, feeds=feeds, effort=Effort(budget_s=budget), seed=seed)


def diff(first: Source, second: Source) -> Difference:
    """Compare two graphs: what was removed, added and changed. Print the difference to read it.

    Nodes are matched through renames. Names of values, the order of nodes and the way constants are
    stored are no differences. Raises ModelError for a model that cannot be read.
    """
    one, other = _source(first), _source(second)
    names = _name(one, "first"), _name(other, "second")
    return difference(_loaded(one), _loaded(other), names)


def _loaded(source: ir.Model | Path) -> ir.Model:
    return load(source) if isinstance(source, Path) else source


def _name(source: ir.Model | Path, otherwise: str) -> str:
    return str(source) if isinstance(source, Path) else source.graph.name or otherwise


def _file(model: Source, number: int, stack: contextlib.ExitStack) -> Path:
    """Return the file of a model; one in memory is written to a folder of its own."""
    source = _source(model)
    if isinstance(source, Path):
        return source
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="onnxopt-"))
    path = Path(folder) / f"model_{number + 1}.onnx"
    save(source, path)
    return path
