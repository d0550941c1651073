"""An inspection on a console."""

from __future__ import annotations

from onnxopt.inspection import words
from onnxopt.inspection.model import Inspection
from onnxopt.render import Paper

_OPERATORS = 12


def render(found: Inspection, paper: Paper, *, title: str, top: int = 10) -> None:
    """Write the most telling things first, then operators, then the ``top`` heaviest layers."""
    paper.line(f"{title}: {words.about(found)}")
    paper.line()
    _left(paper, words.port_rows(found))
    if rest := words.left_out(found):
        paper.line(rest)
    if sizes := words.sizes(found):
        paper.line(f"{sizes}; --shape chooses others")
    paper.line()
    for line in (*words.computed(found), *words.stored(found), words.alive(found)):
        paper.line(line)
    for line in words.quantized(found):
        paper.line(line)
    paper.line()
    rows = words.operator_rows(found)
    paper.table([words.OPERATORS, *rows[:_OPERATORS]])
    if len(rows) > _OPERATORS:
        paper.line(f"… and {len(rows) - _OPERATORS} more operators")
    layers = words.heaviest(found)[:top]
    if layers:
        paper.line()
        paper.table([words.LAYERS, *words.layer_rows(found, layers)])


def _left(paper: Paper, rows: list[tuple[str, ...]]) -> None:
    """Write rows with all columns to the left."""
    widths = [max(len(row[at]) for row in rows) for at in range(4)] if rows else []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        paper.line("  ".join(cells).rstrip())
