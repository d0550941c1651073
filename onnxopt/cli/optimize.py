"""``onnxopt optimize``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from onnxopt.report import Report


def optimize(
    model: Annotated[Path, typer.Argument(help="The model: ONNX as protobuf, text or JSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")],
    target: Annotated[str, typer.Option(help="What it will run on; see 'onnxopt targets'.")] = (
        "cpu"
    ),
    pipeline: Annotated[
        str | None,
        typer.Option("--pipeline", "-p", help="Passes, as 'fold-constants, repeat(fuse, dce)'."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Leave out a pass or a rule; may be given again.")
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(help="Fix an input, 'x=1,3,224,224'; may be given again.")
    ] = None,
    opset: Annotated[int | None, typer.Option(help="Raise the operator set to this first.")] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Feeds to verify on: a folder or file of .npz, .npy, .pb.")
    ] = None,
    verify: Annotated[
        Literal["each", "end", "off"],
        typer.Option(help="Compare numbers after each pass, at the end, or not at all."),
    ] = "end",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a wrong rewrite instead of going on without.")
    ] = False,
    external_data: Annotated[
        bool | None, typer.Option(help="Store weights beside the model, or inside it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For the random samples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Rewrite a model losslessly, verify it, and print what changed."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import Progress
    from onnxopt.io import save
    from onnxopt.lossless import Request, run

    progress = Progress(sys.stderr)
    request = Request(
        target=target,
        pipeline=pipeline,
        skip=tuple(skip or ()),
        shapes=tuple(shape or ()),
        opset=opset,
        samples=samples,
        verify=verify,
        strict=strict,
        seed=seed,
        repro=output.with_name(output.name + ".repro"),
        observers=(progress,),
    )
    optimized, report = run(model, request)
    progress.clear()
    _warn(report, strict=strict)
    written = save(optimized, output, external_data=external_data)
    _show(report, model, written, as_json=as_json)


def _warn(report: Report, *, strict: bool) -> None:
    """Say that numbers were not compared; raise VerificationError where that was insisted on."""
    unverified = report.verification.unverified
    if unverified is None or report.verification.mode == "off":
        return
    if strict:
        from onnxopt.errors import VerificationError

        raise VerificationError(f"{unverified}; nothing is written")
    typer.echo(f"warning: {unverified}", err=True)


def _left_over(output: Path, written: Sequence[Path], report: Report) -> Iterator[str]:
    """Name what an earlier run left beside the model, which may mislead; nothing is deleted."""
    data, repro = (output.with_name(output.name + suffix) for suffix in (".data", ".repro"))
    if data.exists() and data not in written:
        yield f"{output.name} does not use {data}, which is of an earlier model: delete it"
    if repro.exists() and not report.verification.reproduction:
        yield f"{repro} is of an earlier run, this one found nothing wrong: delete it"


def _show(report: Report, model: Path, written: Sequence[Path], *, as_json: bool) -> None:
    output = written[0]
    report.notes += _left_over(output, written, report)
    if as_json:
        from onnxopt.plain import json_text

        typer.echo(json_text(report.to_dict()))
        return
    from onnxopt.render import Paper, render_report

    paper = Paper(sys.stdout)
    render_report(report, paper)
    paper.line(f"{model} -> {output}, {report.seconds:.2f} s")
