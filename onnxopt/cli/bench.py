"""``onnxopt bench``."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import typer

from onnxopt.cli import bench_options as options
from onnxopt.cli.verdicts import NO, TROUBLE, trouble

if TYPE_CHECKING:
    from pathlib import Path

    from onnxopt.measure import BenchReport


def bench(
    models: options.Models,
    provider: options.Providers = None,
    threads: options.Threads = None,
    batch: options.Batches = None,
    shape: options.Shapes = None,
    streams: options.Streams = None,
    samples: options.Samples = None,
    precision: options.Precision = 0.01,
    budget: options.Budget = 14.0,
    save: options.Save = None,
    html: options.Html = None,
    against: options.Against = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
    seed: options.Seed = 0,
) -> None:
    """Measure latency, with intervals: the first model against the others.

    Each model runs in processes of its own, in turns. The ratio says how much of the baseline's
    time a model takes; "no difference that could be measured" means just that.
    """
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.measure import Effort
    from onnxopt.measure.models import Matrix
    from onnxopt.measure.request import Request
    from onnxopt.page import check

    if html is not None:
        check(html)
    matrix = Matrix(
        providers=tuple(provider or ["cpu"]),
        threads=tuple(threads or [0]),
        batches=tuple(batch or []),
        shapes=tuple(shape or []),
        streams=tuple(streams or [1]),
    )
    request = Request(
        models=tuple(models),
        matrix=matrix,
        samples=samples,
        effort=Effort(budget_s=budget, precision=precision),
        against=against,
        force=force,
        seed=seed,
    )
    with trouble() if against is not None else contextlib.nullcontext(), bar("starting") as show:
        report = request.run(progress=show, tell=_warn)
    if report.interrupted and not any(row.runs for row in report.rows):
        raise KeyboardInterrupt  # nothing to show, and a kept run is not to be lost to it
    _keep(report, save, html)
    _show(report, as_json=as_json)
    if report.interrupted:
        raise KeyboardInterrupt
    status = _status(report, gate=against is not None)
    if status:
        raise typer.Exit(status)


def _status(report: BenchReport, *, gate: bool) -> int:
    """Return 1 where a model failed; of a gate 1 where it is slower, 2 where nothing is known."""
    failed = any(row.error is not None for row in report.rows)
    if not gate:
        return int(failed)
    if report.slower:
        return NO
    return TROUBLE if failed or any(row.outcome == "unknown" for row in report.rows) else 0


def _warn(fault: str) -> None:
    typer.echo(f"error: {fault}; going on without it", err=True)


def _keep(report: BenchReport, save: Path | None, html: Path | None) -> None:
    """Write the files that are wanted."""
    from onnxopt.measure.saved import save as keep

    if save is not None:
        keep(report, save)
    if html is not None:
        report.page(("onnxopt", *sys.argv[1:])).save(html)


def _show(report: BenchReport, *, as_json: bool) -> None:
    from onnxopt.render import Paper

    if as_json:
        typer.echo(report.to_json())
    else:
        report.render(Paper(sys.stdout))
