"""``onnxopt inspect``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def inspect(
    model: Annotated[Path, typer.Argument(help="The model: ONNX as protobuf, text or JSON.")],
    shape: Annotated[
        list[str] | None,
        typer.Option(help="Count at these sizes, 'x=1,3,224,224'; may be given again."),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="How many of the heaviest layers to list.")] = 10,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots and tables.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say what a model is, stores, computes and moves, without running it."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.inspection import inspect as looked_at
    from onnxopt.io import load
    from onnxopt.page import check

    if html is not None:
        check(html)
    with bar("reading the model") as show:
        held = load(model)
        found = looked_at(held, shapes=tuple(shape or ()), show=show)
    if html is not None:
        from onnxopt.inspection.html import page

        page(found, held, title=str(model)).save(html)
    if as_json:
        from onnxopt.plain import json_text

        typer.echo(json_text(found.to_dict()))
    else:
        from onnxopt.inspection.console import render
        from onnxopt.render import Paper

        render(found, Paper(sys.stdout), title=str(model), top=top)
