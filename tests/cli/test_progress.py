"""What a person sees who waits, and a file does not."""

from __future__ import annotations

import io

import pytest

from onnxopt.cli import progress


class Terminal(io.StringIO):
    """A stream that says a person reads it."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_on_a_terminal_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress.bar("starting") as show:
        show(0.5, "half of it")
    text = stream.getvalue()
    assert "half of it" in text
    assert text.rstrip("\n").endswith("\x1b[2K")


def test_nothing_is_written_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with progress.bar("starting") as show:
        show(0.5, "half of it")
    assert stream.getvalue() == ""
