"""``onnxopt diff``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from onnxopt.cli.verdicts import NO, trouble


def diff(
    first: Annotated[Path, typer.Argument(help="The model as it was.")],
    second: Annotated[Path, typer.Argument(help="The model as it is.")],
    stat: Annotated[
        bool, typer.Option("--stat", help="Print how often each change is there, not where.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file too.")] = None,
) -> None:
    """Say what is different between two graphs; status 0 nothing, 1 something, 2 trouble."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.difference import difference
    from onnxopt.difference.page import page_of
    from onnxopt.io import load
    from onnxopt.page import check
    from onnxopt.render import Paper

    with trouble():
        if html is not None:
            check(html)
        found = difference(load(first), load(second), (str(first), str(second)))
        if html is not None:
            page_of(found).save(html)
    if as_json:
        typer.echo(found.to_json())
    else:
        found.render(Paper(sys.stdout), stat=stat)
    if not found.equal:
        raise typer.Exit(NO)
