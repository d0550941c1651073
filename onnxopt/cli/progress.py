"""Tell a person who waits what is going on."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

import onnx_ir as ir

from onnxopt.base import Observer, Pass

_PATIENCE = 1.0
"""Seconds that pass in silence."""
_BETWEEN = 30.0
"""Seconds between lines where no terminal shows a bar."""


class Progress(Observer):
    """Shows the pass that runs, on one line of a terminal, once a second has gone by."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._shown = False
        self._changes = 0

    def before(self, step: Pass, model: ir.Model) -> None:
        """Name the pass that begins."""
        self._show(step.name, model)

    def after(self, step: Pass, model: ir.Model, changes: int) -> None:
        """Count; what follows the last pass is verification."""
        self._changes += changes
        self._show("verifying", model)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _show(self, what: str, model: ir.Model) -> None:
        if self._stream.isatty() and time.monotonic() - self._started > _PATIENCE:
            line = f"{what}: {len(model.graph)} nodes, {self._changes} changes so far"
            self._stream.write(f"\r\x1b[K{line}")
            self._stream.flush()
            self._shown = True


Show = Callable[[float, str], None]
"""Takes the share that is done, from 0 to 1, and what happens now."""


@contextlib.contextmanager
def bar(text: str) -> Iterator[Show]:
    """Show a bar on standard error where that is a terminal; elsewhere a line now and then.

    ``with bar("starting") as show: show(0.5, "half of it")``.
    """
    if not sys.stderr.isatty():
        yield _lines(sys.stderr)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (BarColumn(), TextColumn("{task.description}"))
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(text, total=1.0)

        def show(share: float, text: str) -> None:
            bars.update(task, completed=share, description=text)

        yield show


def _lines(stream: TextIO) -> Show:
    """Return what writes a line each half a minute, so that a log shows that work goes on."""
    last = time.monotonic()

    def show(share: float, text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _BETWEEN:
            last = time.monotonic()
            stream.write(f"{100 * share:.0f} %: {text}\n")
            stream.flush()

    return show
