"""``onnxopt profile``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnxopt.cli.amounts import seconds
from onnxopt.cli.bench_options import Samples

if TYPE_CHECKING:
    from onnxopt.profiling import ProfileReport


def _budget(text: str | float) -> float:
    """Return seconds, at least one: a pair of processes has to come up and run."""
    if (found := seconds(text)) < 1:
        raise typer.BadParameter(f"'{text}' is below one second; write 10, 10s or 1m")
    return found


Batch = Annotated[
    int | None, typer.Option(min=1, help="Rows of a batch, for models that leave it open.")
]
Shapes = Annotated[
    list[str] | None, typer.Option(help="An input's shape, x=1,3,224,224; repeatable.")
]
Budget = Annotated[
    float,
    typer.Option(
        parser=_budget,
        metavar="TIME",
        show_default=False,
        help="For each model, 10s or 1m; one pair of processes is started. [default: 10s]",
    ),
]
Runs = Annotated[
    int | None, typer.Option(min=8, help="Recorded runs a process; by default some 400 ms.")
]


def profile(
    model: Annotated[Path, typer.Argument(help="The model.")],
    after: Annotated[
        Path | None, typer.Argument(help="Another one, to see it beside the first.")
    ] = None,
    provider: Annotated[
        str, typer.Option(help="A target, 'cpu{spinning=false}', or a provider of ONNX Runtime.")
    ] = "cpu",
    threads: Annotated[
        int, typer.Option(min=0, help="Threads, at most the CPUs; 0 is one per physical core.")
    ] = 0,
    batch: Batch = None,
    shape: Shapes = None,
    samples: Samples = None,
    top: Annotated[int, typer.Option(min=0, help="Nodes to print.")] = 12,
    runs: Runs = None,
    budget: Budget = 10.0,
    peaks: Annotated[
        bool, typer.Option(help="Measure what the machine reaches, for what could be gained.")
    ] = True,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    seed: Annotated[int, typer.Option(help="For the random feeds and the order of runs.")] = 0,
) -> None:
    """Show where the time goes, by operator and node, and what could be gained."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.page import check
    from onnxopt.profiling.models import profile_files
    from onnxopt.profiling.record import Effort

    if html is not None:
        check(html)
    models = [model] if after is None else [model, after]
    effort = Effort(budget_s=budget, runs=runs, peaks=peaks)
    with bar("starting") as show:
        report = profile_files(
            models,
            provider=provider,
            threads=threads,
            batch=batch,
            shapes=shape or (),
            samples=samples,
            effort=effort,
            seed=seed,
            progress=show,
        )
    if html is not None:
        report.save_html(html)
    _print(report, top, as_json=as_json)
    if report.interrupted:
        raise KeyboardInterrupt
    if any(each.error is not None for each in report.models):
        raise typer.Exit(1)


def _print(report: ProfileReport, top: int, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.to_json())
        return
    from onnxopt.render import Paper

    report.render(Paper(sys.stdout), top=top)
