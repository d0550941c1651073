"""The corpus of the contract tests: small graphs, each with something a pass could get wrong."""

from __future__ import annotations

import inspect
from types import ModuleType

import onnx

from tests.contract.corpus import arithmetic, control, dialects, interface, layers, shapes, written


def _of(theme: ModuleType) -> dict[str, onnx.ModelProto]:
    makers = inspect.getmembers(theme, inspect.isfunction)
    return {name: make() for name, make in makers if make.__module__ == theme.__name__}


def graphs() -> dict[str, onnx.ModelProto]:
    """Return every graph by its name, fresh ones at each call."""
    themes = (arithmetic, control, dialects, interface, layers, shapes, written)
    return {name: graph for theme in themes for name, graph in _of(theme).items()}
