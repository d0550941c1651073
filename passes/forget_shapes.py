"""Forget the types and shapes of inner values."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.ops import STANDARD_DOMAINS
from onnxopt.shapes import analyse

_LOSING = frozenset(("Resize", "Upsample"))
"""Operators through which ONNX's own inference carries numbers only."""

Annotation = tuple[ir.TypeProtocol | None, ir.Shape | None]


class ForgetShapes(Pass):
    """Forget the types and shapes of inner values that follow from what remains.

    Runtimes infer what they need themselves, and what a file says beyond that can cost time. Told
    all shapes, ONNX Runtime 1.31 fuses Add into SkipLayerNormalization, which takes a CPU several
    times as long as the two, and lays its buffers out so that caches serve them worse: 3 to 5 % of
    a transformer's time. Inputs, outputs, initializers and the results of operators outside ONNX
    keep what is known, and so does what could not be inferred again. So do the results of Resize
    with a named extent, which ONNX's own inference loses, and without which ONNX Runtime does not
    add or multiply them in the layout of convolutions.
    """

    def run(self, model: ir.Model, context: Context) -> int:
        """Clear all, infer again, and give back what that does not find."""
        known: dict[ir.Value, Annotation] = {v: (v.type, v.shape) for v in _inner(model)}
        for value in known:
            value.type = value.shape = None
        again = {change.value: change.shape for change in analyse(model).changes}
        changes = 0
        for value, annotation in known.items():
            follows = _as_good(again.get(value), annotation[1])
            if follows and context.gate.permit("forget-shapes", value.name or ""):
                changes += 1
            else:
                value.type, value.shape = annotation
        return changes


def _inner(model: ir.Model) -> Iterator[ir.Value]:
    for home in graph.graphs(model):
        for node in home:
            if node.domain in STANDARD_DOMAINS:
                for value in filter(_follows, node.outputs):
                    annotated = value.type is not None or value.shape is not None
                    if annotated and not value.is_graph_output():
                        yield value


def _follows(value: ir.Value) -> bool:
    """Return whether runtimes infer the shape as well as it is known here."""
    node = value.producer()
    resized = node is not None and node.op_type in _LOSING
    return not (resized and any(isinstance(extent, str) for extent in graph.dims(value) or ()))


def _as_good(found: ir.Shape | None, before: ir.Shape | None) -> bool:
    """Return whether every extent that was a number is one again."""
    if before is None:
        return True
    if found is None or len(found) != len(before):
        return False
    pairs = zip(found, before, strict=True)
    return all(isinstance(new, int) or not isinstance(old, int) for new, old in pairs)
