"""A page: what stands on it, in which order, and the file it becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, Self

from onnxopt.io.replace import may_write, put
from onnxopt.page.extra import require
from onnxopt.page.fill import environment
from onnxopt.page.plot import Plot

Kind = Literal["ok", "note", "warning", "problem"]
Block = tuple[str, Mapping[str, object]]

_NUMBER = re.compile(r"([-+<>~] ?)?\d[\d,.]*(e[-+]?\d+)?( ?[%\w/]+)?( to .*)?|-?")
_LONG = 25
"""Rows beyond which a table is folded away."""


def check(path: Path) -> None:
    """Raise UsageError where a page cannot be made or written there; call it before long work."""
    require()
    may_write(path)


class Page:
    """A report in one HTML file that needs nothing else: no script, no network, no other file.

    Blocks stand in the order in which they are added, and every method returns the page. Text may
    come from models: it is escaped, and what would steer the page is replaced.
    """

    def __init__(self, title: str, summary: str = "") -> None:
        self.title = title
        self.summary = summary
        self._blocks: list[Block] = []

    def heading(self, text: str) -> Self:
        """Begin a section."""
        return self._add("heading", text=text)

    def text(self, text: str) -> Self:
        """Add a paragraph."""
        return self._add("text", text=text)

    def say(self, kind: Kind, text: str) -> Self:
        """Add a sentence that stands out: a verdict, a note, a warning or a problem."""
        return self._add("say", kind=kind, text=text)

    def tiles(self, tiles: Sequence[tuple[str, str, str]]) -> Self:
        """Add the figures to see first, each as its name, its value and a remark."""
        return self._add("tiles", tiles=tiles)

    def facts(self, facts: Mapping[str, str]) -> Self:
        """Add names with their values, such as those of a host."""
        return self._add("facts", facts=facts)

    def code(self, text: str) -> Self:
        """Add text to be taken literally, such as a command."""
        return self._add("code", text=text)

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = ""
    ) -> Self:
        """Add a table; the first column names the rows. Long ones are folded below their caption.

        Columns of numbers are set to the right.
        """
        columns = [[row[column] for row in rows] for column in range(len(header))]
        numeric = [bool(rows) and all(map(_is_number, column)) for column in columns]
        folded = len(rows) > _LONG and bool(caption)
        return self._add(
            "table", header=header, rows=rows, caption=caption, numeric=numeric, folded=folded
        )

    def figure(self, plot: Plot, caption: str = "") -> Self:
        """Add a picture, with its figures as a table that can be unfolded."""
        numeric = [all(_is_number(row[i]) for row in plot.rows) for i in range(len(plot.header))]
        return self._add("figure", plot=plot, caption=caption, numeric=numeric)

    def _add(self, block: str, **content: object) -> Self:
        self._blocks.append((block, content))
        return self

    def to_html(self) -> str:
        """Return the file's text. Raises UsageError where the extra ``html`` is missing."""
        from onnxopt import __version__

        template = environment().get_template("page.html")
        return template.render(page=self, blocks=self._blocks, version=__version__)

    def save(self, path: Path) -> None:
        """Write the file, beside its place first. Raises UsageError for a place that cannot be."""
        content = self.to_html().encode("utf-8")

        def write(file: BinaryIO) -> None:
            file.write(content)

        put(path, write)


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None
