"""``onnxopt passes`` and ``onnxopt targets``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from onnxopt.plain import json_text


def passes(
    name: Annotated[str | None, typer.Argument(help="A pass, to see its options.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the passes, or explain one."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt import catalogue

    found = [_describe(each) for each in (catalogue.passes() if name is None else [name])]
    if as_json:
        typer.echo(json_text(found))
    elif name is None:
        width = max(len(each["name"]) for each in found)
        for each in found:
            typer.echo(f"{each['name']:{width}}  {each['help']}")
    else:
        _explain(found[0])


def _describe(name: str) -> dict[str, Any]:
    from onnxopt import catalogue
    from onnxopt.rewrite import RulePass

    kind: Any = catalogue.find_pass(name)
    rules = kind.rules if issubclass(kind, RulePass) else ()
    return {
        "name": name,
        "help": _first_line(kind.__doc__),
        "options": {
            field.name.replace("_", "-"): _default(field) for field in dataclasses.fields(kind)
        },
        "rules": {each.name: _first_line(each.rule.__doc__) for each in rules},
    }


def _default(field: dataclasses.Field[Any]) -> str:
    from onnxopt.spec import write_value

    if field.default_factory is not dataclasses.MISSING:
        return write_value(field.default_factory())
    return "(required)" if field.default is dataclasses.MISSING else write_value(field.default)


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


def _explain(found: dict[str, Any]) -> None:
    typer.echo(f"{found['name']}: {found['help']}")
    if found["options"]:
        typer.echo("\noptions and their defaults")
        for option, default in found["options"].items():
            typer.echo(f"  {option} = {default}")
    if found["rules"]:
        typer.echo("\nrules")
        for rule, text in found["rules"].items():
            typer.echo(f"  {rule}: {text}")


def targets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the execution targets and whether they can be used here."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt import catalogue

    found = {name: catalogue.find_backend(name).unavailable() for name in catalogue.targets()}
    if as_json:
        typer.echo(json_text(found))
        return
    width = max(len(name) for name in found)
    for name, problem in found.items():
        typer.echo(f"{name:{width}}  {problem or 'ready'}")
