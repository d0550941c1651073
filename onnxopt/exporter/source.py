"""What is to be exported: an object, a file, or text that names either."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from onnxopt import catalogue, io
from onnxopt.errors import ModelError, UsageError
from onnxopt.framework import FOREIGN, Framework, refusals
from onnxopt.spec import nearest

_RUNS_CODE = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt")


@dataclasses.dataclass(frozen=True)
class Source:
    """A model and the framework that it is of."""

    label: str
    thing: Any
    framework: Framework | None
    """None for what is ONNX already."""
    extra: str = ""
    """The framework's name, and that of the extra that installs it."""
    example: Any = None
    """The inputs that came with the model, where a function returned both."""


def source_of(thing: object) -> Source:
    """Find out what a thing is.

    Text is a file, ``framework:file``, or ``framework:package.module:function``, where calling the
    function returns the model, or the model and an example of its inputs. Raises UsageError for
    text that means nothing, ModelError for a thing of no known framework.
    """
    if isinstance(thing, str) and (named := _spec(thing)) is not None:
        return named
    if isinstance(thing, str | Path):
        return _file(Path(thing))
    if isinstance(thing, ir.Model):
        return Source(thing.graph.name or "model", thing, None)
    if isinstance(thing, onnx.ModelProto):
        return Source(thing.graph.name or "model", io.from_proto(thing), None)
    return _object(thing, type(thing).__name__)


def _spec(text: str) -> Source | None:
    name, colon, rest = text.partition(":")
    if not colon or Path(text).exists():
        return None
    known = catalogue.frameworks()
    if name not in known:
        if "/" in name or "\\" in rest or "." in name:
            return None
        raise UsageError(
            f"'{text}': there is no framework '{name}'{nearest(name, known)}; there are "
            f"{', '.join(known)}, as in 'torch:package.module:build'"
        )
    framework = catalogue.framework(name)
    framework.check(name)
    module, colon, function = rest.rpartition(":")
    if not colon or Path(rest).exists():
        path = _existing(Path(rest))
        return Source(text, framework.load(path), framework, name)
    return _built(_called(text, module, function), text, framework, name)


def _built(built: object, text: str, framework: Framework, name: str) -> Source:
    if isinstance(built, tuple) and len(built) == 2:
        return Source(text, built[0], framework, name, built[1])
    return Source(text, built, framework, name)


def _called(text: str, module: str, function: str) -> object:
    """Call a function of a module that is looked for in the working directory too."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:  # the function may import its neighbours when it is called
        try:
            found = getattr(importlib.import_module(module), function, None)
        except FOREIGN as problem:
            raise UsageError(f"'{text}': '{module}' cannot be imported: {problem}") from problem
        if not callable(found):
            raise UsageError(f"'{text}': module '{module}' has no function '{function}'")
        with refusals(f"'{text}'"):
            return found()
    finally:
        sys.path.remove(here)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ModelError(f"{path}: no such file; check the path")
    return path


def _file(path: Path) -> Source:
    _existing(path)
    for name in catalogue.frameworks():
        framework = catalogue.framework(name)
        if framework.reads(path):
            framework.check(name)
            return Source(str(path), framework.load(path), framework, name)
    if path.suffix in _RUNS_CODE:
        raise ModelError(
            f"{path}: loading such a file can run any code, so it is not loaded here; write a "
            "function that loads it and returns the model, and export 'torch:module:function'"
        )
    return Source(str(path), io.load(path), None)


def _object(thing: object, label: str) -> Source:
    for kind in type(thing).__mro__:
        for name in catalogue.frameworks():
            framework = catalogue.framework(name)
            if framework.owns(kind):
                framework.check(name)
                return Source(label, thing, framework, name)
    known = ", ".join(catalogue.frameworks())
    raise ModelError(f"{thing!r:.60} is no model of a framework that is known here ({known})")
