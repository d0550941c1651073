"""Write docs/reference.md from the code: passes, targets and commands with their options."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import typer.main

from onnxopt import catalogue
from onnxopt.cli.app import app
from onnxopt.rewrite import RulePass
from onnxopt.spec import write_value
from tests.source import ROOT

PATH = ROOT / "docs" / "reference.md"
HEAD = """# Reference

Passes, targets, frameworks and commands with their options, made from the code by `make reference`.
"""


def text() -> str:
    """Return the whole page."""
    parts = [HEAD, *_passes(), *_targets(), *_frameworks(), *_commands()]
    return "\n".join(parts).rstrip() + "\n"


def _first_line(doc: str | None) -> str:
    return " ".join((doc or "").strip().partition("\n\n")[0].split())


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return write_value(field.default_factory())
    return "required" if field.default is dataclasses.MISSING else write_value(field.default)


def _options(kind: type[Any]) -> str:
    return ", ".join(
        f"`{field.name.replace('_', '-')}={_default(field)}`" for field in dataclasses.fields(kind)
    )


def _cell(said: str) -> str:
    return said.replace("|", "\\|")


def _passes() -> Iterator[str]:
    yield "## Passes\n\n| pass | what it does | options and their defaults |\n|---|---|---|"
    for name in catalogue.passes():
        kind: Any = catalogue.find_pass(name)
        rules = f" ({len(kind.rules)} rules)" if issubclass(kind, RulePass) else ""
        yield f"| `{name}` | {_cell(_first_line(kind.__doc__))}{rules} | {_cell(_options(kind))} |"


def _targets() -> Iterator[str]:
    yield "\n## Targets\n\n| target | what it is | session options and their defaults |"
    yield "|---|---|---|"
    for name in catalogue.targets():
        kind = catalogue.find_backend(name)
        yield f"| `{name}` | {_cell(_first_line(kind.__doc__))} | {_cell(_options(kind))} |"


def _frameworks() -> Iterator[str]:
    yield "\n## Frameworks\n\n| framework | what is exported |\n|---|---|"
    for name in catalogue.frameworks():
        yield f"| `{name}` | {_cell(_first_line(type(catalogue.framework(name)).__doc__))} |"


def _commands() -> Iterator[str]:
    yield "\n## Commands"
    group: Any = typer.main.get_command(app())
    for name, each in group.commands.items():
        yield f"\n### onnxopt {name}\n\n{inspect.cleandoc(each.help or '')}\n"
        yield "| argument | what it is | default |\n|---|---|---|"
        for parameter in each.params:
            yield _parameter(parameter)


def _parameter(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    shown = ", ".join(f"`{name if name.startswith('-') else name.upper()}`" for name in names)
    default = parameter.default
    plain = "" if default is None or default in ((), []) or callable(default) else f"`{default}`"
    needed = "required" if parameter.required else plain
    return f"| {shown} | {_cell(getattr(parameter, 'help', None) or '')} | {needed} |"


def main() -> None:
    """Write the page."""
    PATH.write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
