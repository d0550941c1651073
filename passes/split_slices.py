"""Slices that part one axis become one Split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.passes.simplify import _parts
from onnxopt.rewrite import Builder, Decline


class _Span(NamedTuple):
    """What a Slice takes of an axis: from ``start`` to before ``end``."""

    start: int
    end: int


_Spans = dict[_Span, list[ir.Node]]


class SplitSlices(Pass):
    """Turn ``x[:a]``, ``x[a:b]``, …, ``x[c:]`` along one axis of known extent into one Split."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of Splits made."""
        names = graph.Names(model)
        scopes = [(model.graph, model.opset_imports, False)]
        scopes += [(each.graph, each.opset_imports, True) for each in model.functions.values()]
        changes = 0
        for outer, imports, in_function in scopes:
            for home in graph.nested(outer):
                for (x, axis), spans in _by_axis(home).items():
                    while parts := _parting(spans, graph.dims(x), axis):
                        base = spans[parts[0]][0].outputs[0].name or "split"
                        opset = imports.get("", 0)
                        op = Builder(context, home, opset, names, base, in_function=in_function)
                        changes += _join(op, axis, {span: spans.pop(span) for span in parts})
        return changes


def _by_axis(home: ir.Graph) -> Mapping[tuple[ir.Value, int], _Spans]:
    """Return the Slices along a single axis by what they take of it, in the graph's order."""
    found: dict[tuple[ir.Value, int], _Spans] = {}
    for node in home:
        x = node.inputs[0] if node.op_type == "Slice" and not node.domain else None
        shape = graph.dims(x)
        if x is None or shape is None:
            continue
        try:
            cuts = _parts.cuts(node)
        except Decline:
            continue
        for axis, cut in cuts.items() if len(cuts) == 1 else ():
            extent = shape[axis] if axis < len(shape) else None
            if cut.step == 1 and isinstance(extent, int):
                start, end, _ = slice(cut.start, cut.end).indices(extent)
                found.setdefault((x, axis), {}).setdefault(_Span(start, end), []).append(node)
    return found


def _parting(spans: _Spans, shape: tuple[int | str | None, ...] | None, axis: int) -> list[_Span]:
    """Return spans that part the whole axis, in order; [] where none do."""
    after: dict[object, list[_Span]] = {None if shape is None else shape[axis]: []}
    for span in sorted(spans, reverse=True):
        once = sum(node.outputs[0].is_graph_output() for node in spans[span]) <= 1
        if span.start < span.end and span.end in after and once:
            after[span.start] = [span, *after[span.end]]
    parts = after.get(0, [])
    return parts if len(parts) > 1 else []


def _join(op: Builder, axis: int, parts: _Spans) -> int:
    nodes = [node for same in parts.values() for node in same]
    x = nodes[0].inputs[0]  # a Split may have taken the place of the value they were found by
    if not op.context.gate.permit(SplitSlices.name, nodes[0].outputs[0].name or ""):
        return 0
    sizes = [span.end - span.start for span in parts]
    attribute = None if op.opset >= 13 else sizes
    inputs: list[ir.Value | np.ndarray | None] = [x]
    if attribute is None:
        inputs.append(np.array(sizes, dtype=np.int64))
    split = op.node("Split", inputs, {"axis": axis, "split": attribute}, outputs=len(parts))
    mine = set(nodes)
    home = nodes[0].graph
    op.keep(next(node for node in home or () if node in mine))
    for same, new in zip(parts.values(), split.outputs, strict=True):
        returned = [node for node in same if node.outputs[0].is_graph_output()]
        named = (returned or same)[0]
        graph.replace(named.outputs[0], new, fresh=True)
        for node in same:
            if node is not named:
                graph.replace(node.outputs[0], new)
    graph.remove_dead(nodes)
    return 1
