"""Exit statuses of the commands that answer a question, as of diff(1)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import typer

from onnxopt.errors import OnnxoptError

NO = 1
"""Two models differ, or are out of bounds, or one is slower."""
TROUBLE = 2
"""There is no answer: a model cannot be read or run, or nothing can be told."""


@contextlib.contextmanager
def trouble() -> Iterator[None]:
    """End with ``TROUBLE`` where something is at fault, which is no answer."""
    try:
        yield
    except OnnxoptError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(TROUBLE) from error
