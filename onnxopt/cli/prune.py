"""``onnxopt prune``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from onnxopt.cli import prune_options as options

if TYPE_CHECKING:
    from onnxopt.pruner import PruneReport


def prune(
    model: options.Model,
    output: options.Output,
    macs: options.Macs = None,
    params: options.Params = None,
    size: options.Bytes = None,
    latency: options.Latency = None,
    samples: options.Samples = None,
    importance: options.Importance = "reconstruction",
    ratios: options.Ratios = "outputs",
    recover: options.Recover = "refit",
    only: options.Only = None,
    skip: options.Skip = None,
    multiple: options.Multiple = None,
    least: options.Least = 0.1,
    branches: options.Branches = None,
    steps: options.Steps = 1,
    target: options.Target = "cpu",
    metric: options.Metric = None,
    measure: options.Measure = True,
    budget: options.Budget = 20.0,
    external_data: options.ExternalData = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    html: options.Html = None,
) -> None:
    """Remove whole channels from a model, and refit the rest on samples without labels."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.io import save
    from onnxopt.pruner import Goal, Request, run

    _check(html)
    goal = Goal.of_one(macs=macs, params=params, bytes=size, latency=latency)
    with bar("optimizing") as show:
        request = Request(
            goal=goal,
            target=target,
            samples=samples,
            importance=importance,
            ratios=ratios,
            recover=recover,
            only=tuple(only or ()),
            skip=tuple(skip or ()),
            multiple=multiple,
            least=least,
            branches=branches,
            steps=steps,
            metric=metric,
            measure=measure,
            budget_s=budget,
            seed=seed,
            progress=show,
        )
        pruned, report = run(model, request)
    save(pruned, output, external_data=external_data)
    _show(report, model, output, html, as_json=as_json)


def _check(html: Path | None) -> None:
    if html is not None:
        from onnxopt.page import check

        check(html)


def _show(
    report: PruneReport, model: Path, output: Path, html: Path | None, *, as_json: bool
) -> None:
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if html is not None:
        from onnxopt.pruner.page import page_of

        page_of(report).save(html)
    if as_json:
        from onnxopt.plain import json_text

        typer.echo(json_text(report.to_dict()))
        return
    from onnxopt.render import Paper

    paper = Paper(sys.stdout)
    report.render(paper)
    paper.line(f"{model} -> {output}, {report.seconds:.1f} s")
