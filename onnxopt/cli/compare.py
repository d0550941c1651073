"""``onnxopt compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from onnxopt.cli.verdicts import NO, trouble

if TYPE_CHECKING:
    from onnxopt.comparison.report import CompareReport
    from onnxopt.comparison.run import Request

_HeldBack = Annotated[
    bool, typer.Option("--held-back", help="Take the samples alone that 'quantize' holds back.")
]
_Tolerance = Annotated[
    float | None, typer.Option(min=0.0, help="Largest error, as a share of its scale.")
]
_MaxDrop = Annotated[
    float | None,
    typer.Option(min=0.0, help="Largest drop of the first metric: 0.01 is one point."),
]


def compare(
    first: Annotated[Path, typer.Argument(help="The model to hold the other against.")],
    second: Annotated[Path, typer.Argument(help="The other; may be the same on another target.")],
    samples: Annotated[
        Path | None, typer.Option(help="Feeds and labels: a folder or file of .npz, .npy, .pb.")
    ] = None,
    held_back: _HeldBack = False,
    provider: Annotated[
        str, typer.Option(help="A target, 'cpu{threads=2}', or a provider of ONNX Runtime.")
    ] = "cpu",
    against_provider: Annotated[
        str | None, typer.Option(help="What the second model runs on, where it is another.")
    ] = None,
    optimization: Annotated[
        Literal["off", "all"],
        typer.Option(help="The runtime's optimizer on the second model; the first has none."),
    ] = "off",
    layers: Annotated[
        bool, typer.Option("--layers", help="Say where inside the models part.")
    ] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="top1, top5, agreement, perplexity or module:function; repeatable."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="The output that metrics are taken from.")
    ] = None,
    tolerance: _Tolerance = None,
    min_sqnr: Annotated[
        float | None, typer.Option(help="Least signal to noise of every output, in dB.")
    ] = None,
    max_drop: _MaxDrop = None,
    seed: Annotated[int, typer.Option(help="For made-up feeds and resampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file too.")] = None,
) -> None:
    """Compare the numbers of two models; status 0 within bounds, 1 outside, 2 trouble."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.comparison.report import Limits
    from onnxopt.comparison.run import Request

    request = Request(
        first=first,
        second=second,
        samples=samples,
        held_back=held_back,
        provider=provider,
        against_provider=against_provider,
        optimization=optimization,
        layers=layers,
        metrics=tuple(metric or ()),
        output=output,
        limits=Limits(tolerance=tolerance, min_sqnr=min_sqnr, max_drop=max_drop),
        seed=seed,
    )
    _show(_compared(request, html), as_json=as_json)


def _compared(request: Request, html: Path | None) -> CompareReport:
    """Compare with a bar where a person watches, and write the page."""
    from onnxopt.cli.progress import bar
    from onnxopt.comparison.page import page_of
    from onnxopt.comparison.run import compare
    from onnxopt.page import check

    with trouble():
        if html is not None:
            check(html)
        with bar("opening") as show:
            report = compare(request, lambda text: show(0.0, text))
        if html is not None:
            page_of(report).save(html)
        return report


def _show(report: CompareReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.to_json())
    else:
        from onnxopt.render import Paper

        report.render(Paper(sys.stdout))
    if not report.within:
        raise typer.Exit(NO)
