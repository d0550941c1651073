"""The command line: one file a command; what a command needs is imported when it runs."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

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


def main() -> NoReturn:
    """Run the command line; exit status 0 done, 1 model or data at fault, 2 usage.

    The process ends at once: taking the interpreter and the runtimes apart in good order would cost
    more time than most models take to optimize, and gives back nothing that the system does not.
    Nor is garbage collected on the way, for nearly all that is made lives to the end.
    """
    gc.disable()
    status = _run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = 1
    os._exit(status)


def _run() -> int:
    try:
        _app()(prog_name="onnxopt")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    except OnnxoptError as problem:
        typer.echo(f"error: {problem}", err=True)
        return problem.exit_status
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return _INTERRUPTED
    except BrokenPipeError:
        return 1
    return 0
