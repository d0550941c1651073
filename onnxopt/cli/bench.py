"""``onnxopt bench``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxopt.measure import BenchReport, Effort, Variant
    from onnxopt.target import Feeds


def bench(
    models: Annotated[list[Path], typer.Argument(help="Models; the first is the baseline.")],
    provider: Annotated[
        str, typer.Option(help="A target, 'cpu{spinning=false}', or a provider of ONNX Runtime.")
    ] = "cpu",
    threads: Annotated[
        int, typer.Option(min=0, help="Threads, at most the CPUs; 0 is one per physical core.")
    ] = 0,
    samples: Annotated[
        Path | None, typer.Option(help="Feeds to run on: a folder or file of .npz, .npy, .pb.")
    ] = None,
    budget: Annotated[
        float,
        typer.Option(min=1.0, help="Seconds; three processes a model are started in any case."),
    ] = 14.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    seed: Annotated[int, typer.Option(help="For the random feeds and the order of runs.")] = 0,
) -> None:
    """Measure latency, with intervals: the first model against the others."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.measure import Effort
    from onnxopt.measure.models import feeds_of, variants_of

    variants = variants_of(models, provider, threads)
    for variant in variants:
        if variant.fault is not None:
            typer.echo(f"error: {variant.fault}; going on without it", err=True)
    feeds = None if samples is None else feeds_of(samples, models[0])
    report = _measure(variants, feeds, Effort(budget_s=budget), seed)
    if as_json:
        typer.echo(report.to_json())
    else:
        from onnxopt.render import Paper

        report.render(Paper(sys.stdout))
    if report.interrupted:
        raise KeyboardInterrupt
    if any(row.error is not None for row in report.rows):
        raise typer.Exit(1)


def _measure(
    variants: list[Variant], feeds: list[Feeds] | None, effort: Effort, seed: int
) -> BenchReport:
    """Measure with a progress bar where a person watches."""
    from onnxopt.measure import bench

    if not sys.stderr.isatty():
        return bench(variants, feeds=feeds, effort=effort, seed=seed)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def show(share: float, text: str) -> None:
            bar.update(task, completed=share, description=text)

        return bench(variants, feeds=feeds, effort=effort, seed=seed, progress=show)
