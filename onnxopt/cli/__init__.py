"""The command line: one file a command; what a command needs is imported when it runs."""

from __future__ import annotations

import os
import sys

import typer

from onnxopt.cli.bench import bench
from onnxopt.cli.catalogue import passes, targets
from onnxopt.cli.optimize import optimize
from onnxopt.errors import OnnxoptError

_INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        from onnxopt import __version__

        typer.echo(f"onnxopt {__version__}")
        raise typer.Exit


def _app() -> typer.Typer:
    app = typer.Typer(
        name="onnxopt",
        help="Rewrite, verify and measure ONNX models.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def options(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ) -> None:
        del version

    for command in (optimize, bench, passes, targets):
        app.command()(command)
    return app


def main() -> None:
    """Run the command line; exit status 0 done, 1 model or data at fault, 2 usage."""
    try:
        _app()()
    except OnnxoptError as problem:
        typer.echo(f"error: {problem}", err=True)
        sys.exit(problem.exit_status)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
