"""What passes and targets there are: the file system is the registry, entry points extend it."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
import re
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from onnxopt.base import Pass
from onnxopt.errors import UsageError
from onnxopt.framework import Framework
from onnxopt.rewrite import Rule, RulePass
from onnxopt.rewrite.engine import NamedRule
from onnxopt.spec import Tokens, nearest, read_options
from onnxopt.target import Backend

_ROOTS = {
    "passes": "onnxopt.passes",
    "backends": "onnxopt.backends",
    "frameworks": "onnxopt.frameworks",
}


@functools.cache
def _files(kind: str) -> Mapping[str, str]:
    """Return the modules of a kind by name: ``fuse/gelu`` is ``onnxopt.passes.fuse.gelu``."""
    root = _ROOTS[kind]
    found: dict[str, str] = {}
    for folder in [Path(place) for place in importlib.import_module(root).__path__]:
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if not any(part.startswith("_") for part in parts):
                found["/".join(parts).replace("_", "-")] = ".".join((root, *parts))
    return MappingProxyType(found)


@functools.cache
def _plugins(kind: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    """Return what other packages add; a name that is taken is an error naming both."""
    found: dict[str, importlib.metadata.EntryPoint] = {}
    own = {*_files(kind), *(families() if kind == "passes" else ()), "repeat"}
    for entry in importlib.metadata.entry_points(group=f"onnxopt.{kind}"):
        if entry.name in own or entry.name in found:
            other = found[entry.name].value if entry.name in found else "onnxopt itself"
            raise UsageError(f"'{entry.name}' is provided by {entry.value} and by {other}")
        found[entry.name] = entry
    return MappingProxyType(found)


def extensions(kind: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    """Return what other packages add of a kind of which onnxopt keeps its own elsewhere."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=f"onnxopt.{kind}")}


def extension(kind: str, name: str) -> Any:
    """Load one of them; UsageError where the package that provides it is broken."""
    return _load(extensions(kind)[name])


def families() -> tuple[str, ...]:
    """Return the families of passes: the folders, but for those that say ``TOGETHER = False``."""
    folders = {name.rpartition("/")[0] for name in _files("passes")} - {""}
    return tuple(sorted(name for name in folders if getattr(_package(name), "TOGETHER", True)))


def _package(family: str) -> ModuleType:
    return importlib.import_module(f"{_ROOTS['passes']}.{family.replace('-', '_')}")


def passes() -> tuple[str, ...]:
    """Return the names of all passes and families."""
    return tuple(sorted({*_files("passes"), *families(), *_plugins("passes")}))


def targets() -> tuple[str, ...]:
    """Return the names of all execution targets."""
    return tuple(sorted({*_files("backends"), *_plugins("backends")}))


def frameworks() -> tuple[str, ...]:
    """Return the names of all frameworks that models are exported from."""
    return tuple(sorted({*_files("frameworks"), *_plugins("frameworks")}))


@functools.cache
def framework(name: str) -> Framework:
    """Return the framework of this name.

    Raises UsageError with the nearest name where there is none.
    """
    if name in _files("frameworks"):
        loaded: Any = _import(_files("frameworks")[name])
    elif name in _plugins("frameworks"):
        loaded = _load(_plugins("frameworks")[name])
    else:
        raise UsageError(f"unknown framework '{name}'{nearest(name, frameworks())}")
    kind = next(_own(loaded, Framework), None) if isinstance(loaded, ModuleType) else loaded
    if not (isinstance(kind, type) and issubclass(kind, Framework)):
        raise UsageError(f"framework '{name}': {loaded} is no Framework, and defines none")
    return kind()


def _import(name: str) -> ModuleType:
    """Import a pass or target; a mistake in its file is reported with the place.

    Raises UsageError, in one line.
    """
    try:
        return importlib.import_module(name)
    except (ArithmeticError, ImportError, LookupError, NameError, SyntaxError) as problem:
        error: BaseException = problem
    except (AttributeError, TypeError, ValueError) as problem:
        error = problem
    frames = traceback.extract_tb(error.__traceback__)
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno
    file = error.filename if isinstance(error, SyntaxError) else frames[-1].filename
    reason = error.msg if isinstance(error, SyntaxError) else error
    raise UsageError(f"{file}, line {line}: {reason}; mend the file") from error


@functools.cache
def find_pass(name: str) -> type[Pass]:
    """Return the pass, rule file or family of this name.

    Raises UsageError with the nearest name where there is none.
    """
    if name in _files("passes"):
        return _pass_of(_import(_files("passes")[name]), name)
    if name in families():
        return _family(name)
    if name in _plugins("passes"):
        return _plugin_pass(_load(_plugins("passes")[name]), name)
    raise UsageError(f"unknown pass '{name}'{nearest(name, passes())}")


@functools.cache
def find_backend(name: str) -> type[Backend]:
    """Return the execution target of this name.

    Raises UsageError with the nearest name where there is none.
    """
    loaded: Any
    if name in _files("backends"):
        loaded = _import(_files("backends")[name])
    elif name in _plugins("backends"):
        loaded = _load(_plugins("backends")[name])
    else:
        known = targets()
        hint = nearest(name, known) or f"; there are: {', '.join(known)}"
        raise UsageError(f"unknown target '{name}'{hint}")
    kind = next(_own(loaded, Backend), None) if isinstance(loaded, ModuleType) else loaded
    if not (isinstance(kind, type) and issubclass(kind, Backend)):
        raise UsageError(f"target '{name}': {loaded} is no Backend, and defines none")
    return kind


def _load(entry: importlib.metadata.EntryPoint) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as problem:
        raise UsageError(
            f"'{entry.name}' cannot be loaded from {entry.value}: {problem}; "
            "mend or uninstall the package that provides it"
        ) from problem


def _plugin_pass(loaded: Any, name: str) -> type[Pass]:
    """Return what an entry point leads to, a module, a Pass or a Rule, under the entry's name."""
    if isinstance(loaded, ModuleType):
        loaded = _pass_of(loaded, name)
    if isinstance(loaded, type) and issubclass(loaded, Rule):
        return _rule_pass(name, loaded.__doc__ or "", (NamedRule(name, loaded()),))
    if not (isinstance(loaded, type) and issubclass(loaded, Pass)):
        raise UsageError(f"pass '{name}': {loaded} is neither a Pass nor a Rule nor a module")
    if loaded.name == name:
        return loaded
    contents = {"name": name, "__doc__": loaded.__doc__, "__module__": loaded.__module__}
    return type(loaded.__name__, (loaded,), contents)


def _own(module: ModuleType, kind: type[Any]) -> Iterator[Any]:
    for found in vars(module).values():
        own = inspect.isclass(found) and found.__module__ == module.__name__
        if own and issubclass(found, kind) and not inspect.isabstract(found):
            yield found


def _pass_of(module: ModuleType, name: str) -> type[Pass]:
    own: type[Pass] | None = next(_own(module, Pass), None)
    if own is not None:
        return own
    rules = _rules(module, name)
    if not rules:
        raise UsageError(f"{module.__name__} defines neither a Pass nor a Rule")
    return _rule_pass(name, module.__doc__ or "", rules)


def _rules(module: ModuleType, name: str) -> tuple[NamedRule, ...]:
    kinds = list(_own(module, Rule))
    if len(kinds) == 1:
        return (NamedRule(name, kinds[0]()),)
    return tuple(NamedRule(f"{name}:{_kebab(kind.__name__)}", kind()) for kind in kinds)


def _family(name: str) -> type[Pass]:
    """Return one pass that applies the rules of all files in a folder together."""
    members = [member for member in _files("passes") if member.rpartition("/")[0] == name]
    modules = [_import(_files("passes")[member]) for member in members]
    pairs = zip(modules, members, strict=True)
    rules = tuple(rule for module, member in pairs for rule in _rules(module, member))
    return _rule_pass(name, _package(name).__doc__ or "", rules)


def _rule_pass(name: str, doc: str, rules: tuple[NamedRule, ...]) -> type[Pass]:
    contents = {"name": name, "rules": rules, "__doc__": doc, "__module__": __name__}
    return type(name, (RulePass,), contents)


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def backend(text: str) -> Backend:
    """Return a target with its session options: ``cpu{threads=2, optimization=off}``.

    Raises UsageError with a caret for an unknown target, option or value.
    """
    tokens = Tokens(text)
    name = tokens.word("the name of a target")
    try:
        kind = find_backend(name)
    except UsageError as problem:
        tokens.fail(str(problem), back=1)
    made = kind(**read_options(tokens, kind, name))
    if tokens.peek():
        tokens.fail(f"unexpected '{tokens.peek()}'")
    return made
