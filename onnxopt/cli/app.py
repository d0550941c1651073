"""The commands under one roof; what a command needs is imported when it runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

import typer

from onnxopt.errors import OnnxoptError

INTERRUPTED = 130
"""The exit status after Ctrl-C, by which typer ends too."""

_MODULES = {
    "deploy": "deploy",
    "export": "export",
    "optimize": "optimize",
    "quantize": "quantize",
    "prune": "prune",
    "bench": "bench",
    "profile": "profile",
    "compare": "compare",
    "diff": "diff",
    "inspect": "inspect",
    "passes": "catalogue",
    "targets": "catalogue",
    "doctor": "doctor",
}
"""The module of this package in which each command is a function of the same name."""


def _version(wanted: bool) -> None:
    if wanted:
        from onnxopt import __version__

        typer.echo(f"onnxopt {__version__}")
        raise typer.Exit


def _command(name: str) -> Callable[..., None]:
    module = importlib.import_module(f"onnxopt.cli.{_MODULES[name]}")
    command: Callable[..., None] = getattr(module, name)
    return command


def app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return all commands, or only the one that the arguments begin with, which takes less time."""
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

    asked = [name for name in arguments[:1] if name in _MODULES]
    for name in asked or _MODULES:
        commands.command()(_command(name))
    return commands


def run() -> int:
    """Run a command; return the exit status and say what went wrong."""
    try:
        app(sys.argv[1:])(prog_name="onnxopt")
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
