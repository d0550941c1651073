"""``onnxopt deploy``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnxopt.cli.quantize_options import CheckPortability

if TYPE_CHECKING:
    from onnxopt.deployer import DeployReport

_Spec = Annotated[
    str,
    typer.Argument(
        help="A file, 'framework:file', or 'torch:package.module:function', which returns it."
    ),
]
_Folder = Annotated[
    Path, typer.Option("--output", "-o", help="The folder that takes the model and the report.")
]
_Samples = Annotated[
    Path | None,
    typer.Option(help="Real inputs, with labels where there are any: .npz, .npy, .pb."),
]
_Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="An input, 'x=1,3,224,224' or 'ids:int64=batch,tokens'; named axes stay open; "
        "may be given again.",
    ),
]
_Scheme = Annotated[
    str | None,
    typer.Option(help="A scheme to quantize by, as of 'onnxopt quantize'; by default several."),
]
_Metrics = Annotated[
    list[str] | None,
    typer.Option(help="top1, perplexity, 'module:function', …; may be given again."),
]
_MaxDrop = Annotated[
    float,
    typer.Option(
        min=0.0, help="How much of the first metric quantization may cost; 0.01 is one point."
    ),
]
_Measure = Annotated[bool, typer.Option(help="Measure latency here, and take what is fastest.")]
_Budget = Annotated[
    float,
    typer.Option(
        min=1.0,
        help="Seconds for each measurement: in quantizing, of the candidates, of ways to open, as "
        "it ships; five processes a model are started in any case.",
    ),
]


def deploy(
    spec: _Spec,
    output: _Folder,
    samples: _Samples = None,
    inputs: _Inputs = None,
    target: Annotated[str, typer.Option(help="What it will run on; see 'onnxopt targets'.")] = (
        "cpu"
    ),
    quantize: Annotated[
        bool, typer.Option(help="Try quantization, and take it where it pays.")
    ] = True,
    scheme: _Scheme = None,
    metric: _Metrics = None,
    max_drop: _MaxDrop = 0.01,
    check_portability: CheckPortability = False,
    measure: _Measure = True,
    again: Annotated[
        bool, typer.Option("--again", help="Measure anew what was measured in the folder before.")
    ] = False,
    skip_pass: Annotated[
        list[str] | None,
        typer.Option("--skip-pass", help="Leave a pass out; may be given again."),
    ] = None,
    budget: _Budget = 20.0,
    seed: Annotated[int, typer.Option(help="For made-up inputs.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Export, optimize, quantize or not, compare and measure a model, and say how to run it.

    What was done in the folder already, from the same inputs, is not done again. Status 0 whichever
    model was taken, 1 where the model or the samples are at fault, 2 for what was asked.
    """
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.deployer import Request, run

    with bar("starting") as show:
        request = Request(
            folder=output,
            samples=samples,
            inputs=tuple(inputs) if inputs else None,
            target=target,
            quantize=quantize,
            scheme=scheme,
            metrics=tuple(metric or ()),
            max_drop=max_drop,
            check_portability=check_portability,
            measure=measure,
            again=again,
            skip_passes=tuple(skip_pass or ()),
            budget_s=budget,
            seed=seed,
            progress=show,
        )
        report = run(spec, request)
    _show(report, as_json=as_json)


def _show(report: DeployReport, *, as_json: bool) -> None:
    if as_json:
        from onnxopt.plain import json_text

        typer.echo(json_text(report.to_dict()))
        return
    from onnxopt.render import Paper

    report.render(Paper(sys.stdout))
