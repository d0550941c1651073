"""The commands under one roof; what a command needs is imported when it runs."""

from __future__ import annotations

import typer

from onnxopt.cli.bench import bench
from onnxopt.cli.catalogue import passes, targets
from onnxopt.cli.compare import compare
from onnxopt.cli.diff import diff
from onnxopt.cli.doctor import doctor
from onnxopt.cli.inspect import inspect
from onnxopt.cli.optimize import optimize
from onnxopt.cli.profile import profile
from onnxopt.cli.quantize import quantize
from onnxopt.errors import OnnxoptError

INTERRUPTED = 130
"""The exit status after Ctrl-C, by which typer ends too."""


def _version(wanted: bool) -> None:
    if wanted:
        from onnxopt import __version__

        typer.echo(f"onnxopt {__version__}")
        raise typer.Exit


def app() -> typer.Typer:
    commands = typer.Typer(
        name="onnxopt",
        help="Rewrite, verify and measure ONNX models.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @commands.callback()
    def options(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ) -> None:
        del version

    for command in (
        *(optimize, quantize, bench, profile, compare, diff, inspect),
        *(passes, targets, doctor),
    ):
        commands.command()(command)
    return commands


def run() -> int:
    """Run a command; return the exit status and say what went wrong."""
    try:
        app()(prog_name="onnxopt")
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 0
        if status == INTERRUPTED:
            raise KeyboardInterrupt from left
        return status
    except OnnxoptError as problem:
        typer.echo(f"error: {problem}", err=True)
        return problem.exit_status
    except BrokenPipeError:
        return 1
    return 0
