"""Run the command line in this process."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from onnxopt.cli import main


@dataclasses.dataclass(frozen=True)
class Said:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The line of the error, without what points at a place in a text."""
        return self.err.splitlines()[0] if self.err else ""


Command = Callable[..., Said]


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Yield a function that runs a command; any exception but an exit fails the test."""

    def leave(status: int) -> NoReturn:
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", leave)

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["onnxopt", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Said(left.value.code, said.out, said.err)

    yield run
