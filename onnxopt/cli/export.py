"""``onnxopt export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnxopt.cli import outcome


def export(
    spec: Annotated[
        str,
        typer.Argument(
            help="A file, 'framework:file', or 'torch:package.module:function', which returns it."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the model goes.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="An input, 'x=1,3,224,224' or 'ids:int64=batch,tokens'; named axes stay open; "
            "may be given again.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None, typer.Option("--name", help="A name for an output; for each in turn.")
    ] = None,
    exporter: Annotated[
        str | None,
        typer.Option(help="dynamo, torchscript, …; by default the first that writes it right."),
    ] = None,
    opset: Annotated[int | None, typer.Option(help="The operator set to write.")] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help="Feeds to compare on as well: a folder or file of .npz, .npy, .pb."),
    ] = None,
    external_data: Annotated[
        bool | None, typer.Option(help="Store weights beside the model, or inside it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For made-up inputs.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write a framework's model as ONNX, compared with what the framework computes."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.exporter import Request, run
    from onnxopt.io import save
    from onnxopt.io.replace import may_write

    may_write(output)
    with bar("importing the framework") as show:
        request = Request(
            inputs=tuple(inputs) if inputs else None,
            outputs=tuple(outputs or ()),
            exporter=exporter,
            opset=opset,
            samples=samples,
            folder=output.absolute().parent if output.absolute().parent.is_dir() else None,
            seed=seed,
            progress=show,
        )
        model, report = run(spec, request)
        show(1.0, "saving")
        save(model, output, external_data=external_data)
    outcome.show(report, report.source, output, as_json=as_json)
