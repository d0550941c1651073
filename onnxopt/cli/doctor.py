"""``onnxopt doctor``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Find out what is wrong with this installation or this machine.

    Every finding comes with what it means and, where there is one, the command that mends it. The
    exit status is 1 where something keeps models from running, or from running right.
    """
    from onnxopt.diagnosis import diagnose
    from onnxopt.render import Paper

    watched = sys.stderr.isatty()
    if watched:
        typer.echo("starting every provider once ...\r", err=True, nl=False)
    found = diagnose()
    if watched:
        typer.echo("\x1b[K", err=True, nl=False)
    if as_json:
        typer.echo(found.to_json())
    else:
        found.render(Paper(sys.stdout))
    if found.problem:
        raise typer.Exit(1)
