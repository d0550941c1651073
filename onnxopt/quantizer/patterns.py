"""Shell patterns that name layers: made, given to passes, and checked for effect."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

import onnx_ir as ir

from onnxopt import catalogue, graph
from onnxopt.base import Pass
from onnxopt.pipeline import Step
from onnxopt.spec import nearest

Patterns = tuple[str, ...]


def literal(name: str) -> str:
    """Return a shell pattern that matches a name and nothing else."""
    return re.sub(r"([\[*?])", r"[\1]", name)


def selective(step: Step) -> TypeGuard[Pass]:
    """Return whether a step of a pipeline is a pass that can be told what to do and to leave."""
    names = {field.name for field in dataclasses.fields(step)}
    return isinstance(step, Pass) and {"only", "skip"} <= names


def narrowed(step: Step, only: Patterns, skip: Patterns) -> Step:
    """Return a pass with further patterns of what it is to do and to leave."""
    if not selective(step):
        return step
    had_only: Patterns = getattr(step, "only", ())
    had_skip: Patterns = getattr(step, "skip", ())
    changed: Pass = dataclasses.replace(  # type: ignore[call-arg]
        step, only=only or had_only, skip=(*had_skip, *skip)
    )
    return changed


def unmatched(model: ir.Model, patterns: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each pattern that no node, output or operator of a model is called by."""
    if not patterns:
        return
    names: set[str] = set()
    for node in (node for home in graph.graphs(model) for node in home):
        names |= {node.op_type, node.name or "", *(value.name or "" for value in node.outputs)}
    for pattern in dict.fromkeys(patterns):
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            continue
        hint = nearest(pattern, names)
        if pattern in catalogue.passes():
            hint = "; it is a pass: 'onnxopt optimize --skip' leaves passes out"
        yield (
            f"'{pattern}' has no effect: once the model is optimized no node, output or operator "
            f"is called that{hint}"
        )
