"""``onnxopt quantize``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxopt.quantizer import QuantizeReport


Schemes = Annotated[
    str | None,
    typer.Option(help="int8, int8-dynamic, int4-weights, …, or passes; by default what is best."),
]
Compare = Annotated[
    bool,
    typer.Option(help="Run the model and the result, to say what is lost; without, name a scheme."),
]
Measure = Annotated[bool, typer.Option(help="Measure latency here, and take what is fastest.")]
CheckPortability = Annotated[
    bool,
    typer.Option(
        "--check-portability", help="Compute what processors without VNNI make of the result."
    ),
]
External = Annotated[
    bool | None, typer.Option(help="Store weights beside the model, or inside it.")
]


def quantize(
    model: Annotated[Path, typer.Argument(help="The float model: ONNX as protobuf, text or JSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")],
    samples: Annotated[
        Path | None, typer.Option(help="Real inputs: a folder or file of .npz, .npy, .pb.")
    ] = None,
    scheme: Schemes = None,
    target: Annotated[str, typer.Option(help="What it will run on; see 'onnxopt targets'.")] = (
        "cpu"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(help="Quantize only what this names: a node, output or operator; wildcards."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Leave what this names in float; may be given again.")
    ] = None,
    compare: Compare = True,
    measure: Measure = True,
    budget: Annotated[float, typer.Option(min=1.0, help="Seconds for measuring.")] = 20.0,
    max_drop: Annotated[float | None, typer.Option(min=0.0, help="Of a metric: 0.005.")] = None,
    metric: Annotated[str | None, typer.Option(help="For it: top1, agreement, m:f, …")] = None,
    check_portability: CheckPortability = False,
    external_data: External = None,
    seed: Annotated[int, typer.Option(help="For made-up samples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Quantize a model: what keeps its outputs and is fastest here, or a scheme of your own."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.io import save
    from onnxopt.quantizer import Request, budget_of, run

    with bar("optimizing") as show:
        request = Request(
            target=target,
            scheme=scheme,
            samples=samples,
            only=tuple(only or ()),
            skip=tuple(skip or ()),
            compare=compare,
            measure=measure,
            check_portability=check_portability,
            budget_s=budget,
            accuracy=budget_of(max_drop, metric),
            state=output.with_name(f"{output.name}.search"),
            keep=lambda best: save(best, output, external_data=external_data),
            seed=seed,
            progress=show,
        )
        quantized, report = run(model, request)
    save(quantized, output, external_data=external_data)
    _show(report, model, output, as_json=as_json)


def _show(report: QuantizeReport, model: Path, output: Path, *, as_json: bool) -> None:
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        from onnxopt.plain import json_text

        typer.echo(json_text(report.to_dict()))
        return
    from onnxopt.render import Paper

    paper = Paper(sys.stdout)
    report.render(paper)
    paper.line(f"{model} -> {output}, {report.seconds:.1f} s")
