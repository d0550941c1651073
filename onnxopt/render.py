"""Reports on a console."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from onnxopt.report import Report

_WIDTH = 100
_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_text(count: float) -> str:
    """Return a number of bytes with three digits and a unit, in powers of 1000."""
    unit = _UNITS[0]
    for unit in _UNITS:
        if abs(count) < 999.5 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if abs(count) >= 100 else f"{count:.3g} {unit}"


def count_text(count: float) -> str:
    """Return a count with three digits, in thousands, millions, …: ``301 M``."""
    if abs(count) < 999.5:
        return f"{count:.3g}"
    units = iter(("k", "M", "G", "T"))
    unit = next(units)
    count /= 1000
    while abs(count) >= 999.5 and unit != "T":
        unit = next(units)
        count /= 1000
    return f"{count:.0f} {unit}" if abs(count) >= 100 else f"{count:.3g} {unit}"


def share_text(part: float, whole: float) -> str:
    """Return a share in percent; nothing of nothing is a dash."""
    if not whole:
        return "-"
    share = 100 * part / whole
    if part in (0, whole):
        return f"{share:.0f} %"
    return f"{min(share, 99.9):.1f} %" if share >= 0.05 else "< 0.1 %"


class Paper:
    """Plain text with aligned columns; rich costs more to import than most models to optimize."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str = "") -> None:
        """Write a line."""
        self._stream.write(text + "\n")

    def paragraph(self, text: str) -> None:
        """Write a text in lines of at most 100 characters, all but the first indented."""
        wrapped = textwrap.wrap(
            text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for line in wrapped:
            self.line(line)

    def table(self, rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> None:
        """Write rows: the columns with these numbers to the left, all others to the right."""
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            cells = [
                cell.ljust(width) if at in left else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.line("  ".join(cells).rstrip())


def render_report(report: Report, paper: Paper) -> None:
    """Write nodes by operator before and after, what each pass did, and how it was verified."""
    paper.table(_operators(report))
    paper.line()
    if report.contents is not None:
        from onnxopt.contents import content_rows

        paper.table([["", "before", "after", "left"], *content_rows(*report.contents)])
        paper.line()
    changed = [record for record in report.passes if record.changes]
    rows = [[r.name, str(r.changes), f"{r.seconds:.3f}"] for r in changed]
    paper.table([["pass", "changes", "seconds"], *rows])
    paper.line()
    for line in report.verification.lines():
        paper.paragraph(line)
    for note in report.notes:
        paper.paragraph(f"note: {note}")


def _operators(report: Report) -> list[list[str]]:
    before, after = report.before, report.after
    names = sorted(before.operators | after.operators, key=lambda n: -before.operators.get(n, 0))
    changed = [n for n in names if before.operators.get(n, 0) != after.operators.get(n, 0)]
    others = before.nodes - sum(before.operators.get(name, 0) for name in changed)
    rows = [["operator", "before", "after"]]
    for name in changed:
        old, new = before.operators.get(name, 0), after.operators.get(name, 0)
        rows.append([name, str(old or "-"), str(new or "-")])
    rows.append(["unchanged operators", str(others), str(others)])
    rows.append(["all nodes", str(before.nodes), str(after.nodes)])
    if report.contents is None:
        sizes = before.weight_bytes, after.weight_bytes
        rows.append(["weights", *map(bytes_text, sizes)])
    return rows
