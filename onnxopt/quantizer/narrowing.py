"""Patterns that are to name layers, and do not."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onnxopt import catalogue, graph
from onnxopt.spec import nearest


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
