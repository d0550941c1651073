"""``onnxopt prune``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnxopt.cli.amounts import share
from onnxopt.pruning.options import Importance, Ratios, Recover

if TYPE_CHECKING:
    from onnxopt.pruner import PruneReport

_NAMES = typer.Option(help="Prune only what this names: a node, weight or group; wildcards.")


def prune(
    model: Annotated[Path, typer.Argument(help="The float model: ONNX as protobuf, text or JSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")],
    macs: Annotated[
        str | None, typer.Option(help="Multiply-adds that are to be left: 0.5 or 50%.")
    ] = None,
    params: Annotated[str | None, typer.Option(help="Parameters that are to be left.")] = None,
    size: Annotated[
        str | None, typer.Option("--bytes", help="Bytes of weights that are to be left.")
    ] = None,
    latency: Annotated[
        str | None, typer.Option(help="Latency that is to be left, as measured here.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Real inputs: a folder or file of .npz, .npy, .pb.")
    ] = None,
    importance: Annotated[
        Importance, typer.Option(help="By what channels are chosen that go.")
    ] = "reconstruction",
    ratios: Annotated[
        Ratios, typer.Option(help="How much of each group goes: as it hurts least, or uniform.")
    ] = "outputs",
    recover: Annotated[Recover, typer.Option(help="What the rest does to make up for it.")] = (
        "refit"
    ),
    only: Annotated[list[str] | None, _NAMES] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Leave what this names whole; may be given again.")
    ] = None,
    multiple: Annotated[
        int | None,
        typer.Option(min=1, help="Keep multiples of so many channels; 8 for latency, else 1."),
    ] = None,
    least: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of its channels each group keeps.")
    ] = 0.1,
    steps: Annotated[
        int, typer.Option(min=1, help="Reach the share in so many steps, each chosen anew.")
    ] = 1,
    target: Annotated[str, typer.Option(help="What it will run on; see 'onnxopt targets'.")] = (
        "cpu"
    ),
    measure: Annotated[bool, typer.Option(help="Measure latency here, before and after.")] = True,
    budget: Annotated[float, typer.Option(min=1.0, help="Seconds for measuring.")] = 20.0,
    external_data: Annotated[
        bool | None, typer.Option(help="Store weights beside the model, or inside it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For made-up samples and places looked at.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file too.")] = None,
) -> None:
    """Remove whole channels from a model, and refit the rest on samples without labels."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.io import save
    from onnxopt.pruner import Goal, Request, run

    goal = Goal.of_one(
        macs=_share(macs), params=_share(params), bytes=_share(size), latency=_share(latency)
    )
    if html is not None:
        from onnxopt.page import check

        check(html)
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
            steps=steps,
            measure=measure,
            budget_s=budget,
            seed=seed,
            progress=show,
        )
        pruned, report = run(model, request)
    save(pruned, output, external_data=external_data)
    _show(report, model, output, html, as_json=as_json)


def _share(text: str | None) -> float | None:
    return None if text is None else share(text)


def _show(
    report: PruneReport, model: Path, output: Path, html: Path | None, *, as_json: bool
) -> None:
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if html is not None:
        from onnxopt.pruner.page import page_of

        page_of(report).save(html)
    if as_json:
        import json

        typer.echo(json.dumps(report.to_dict(), indent=2))
        return
    from onnxopt.render import Paper

    paper = Paper(sys.stdout)
    report.render(paper)
    paper.line(f"{model} -> {output}, {report.seconds:.1f} s")
