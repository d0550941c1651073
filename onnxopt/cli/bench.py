"""``onnxopt bench``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


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
    from onnxopt.cli.progress import bar
    from onnxopt.measure import Effort
    from onnxopt.measure import bench as measured
    from onnxopt.measure.models import feeds_of, variants_of

    variants = variants_of(models, provider, threads)
    for variant in variants:
        if variant.fault is not None:
            typer.echo(f"error: {variant.fault}; going on without it", err=True)
    feeds = None if samples is None else feeds_of(samples, models[0])
    with bar("starting") as show:
        effort = Effort(budget_s=budget)
        report = measured(variants, feeds=feeds, effort=effort, seed=seed, progress=show)
    if as_json:
        typer.echo(report.to_json())
    else:
        from onnxopt.render import Paper

        report.render(Paper(sys.stdout))
    if report.interrupted:
        raise KeyboardInterrupt
    if any(row.error is not None for row in report.rows):
        raise typer.Exit(1)
