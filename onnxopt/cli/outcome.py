"""What commands that write a model and report on it share: the page, and what is printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

if TYPE_CHECKING:
    from onnxopt.page import Page
    from onnxopt.render import Paper


class Report(Protocol):
    """A report on how a model was made."""

    @property
    def seconds(self) -> float:
        """How long that took."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""

    def render(self, paper: Paper) -> None:
        """Write it for people."""


class PagedReport(Report, Protocol):
    """One with warnings, which can stand on a page."""

    warnings: list[str]

    def to_page(self) -> Page:
        """Put it on a page."""


def check_page(html: Path | None) -> None:
    """Raise UsageError early where a page is asked for that cannot be made or written."""
    if html is not None:
        from onnxopt.page import check

        check(html)


def show(report: Report, source: object, output: Path, *, as_json: bool) -> None:
    """Print the report as text or JSON."""
    if as_json:
        from onnxopt.plain import json_text

        typer.echo(json_text(report.to_dict()))
        return
    from onnxopt.render import Paper

    paper = Paper(sys.stdout)
    report.render(paper)
    paper.line(f"{source} -> {output}, {report.seconds:.1f} s")


def tell(
    report: PagedReport, model: Path, output: Path, html: Path | None, *, as_json: bool
) -> None:
    """Print warnings to standard error and the report as text or JSON; write its page."""
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if html is not None:
        report.to_page().save(html)
    show(report, model, output, as_json=as_json)
